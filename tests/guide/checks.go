package main

import (
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// checked is the checks of one area.
type checked struct {
	Name   string
	Checks []check
}

// check is one as the page has it.
type check struct {
	suite.Check

	Name string // without its area
}

// byArea keeps the order in which the suite lists them.
func byArea(all []suite.Check) []checked {
	var areas []checked
	for _, each := range all {
		i := slices.IndexFunc(areas, func(area checked) bool { return area.Name == each.Area() })
		if i < 0 {
			i, areas = len(areas), append(areas, checked{Name: each.Area()})
		}
		areas[i].Checks = append(areas[i].Checks, check{each, strings.TrimPrefix(each.ID, each.Area()+"/")})
	}
	return areas
}

// answered is a statement, and how many checks answer it.
type answered struct {
	suite.Statement

	Checks int
}

func count(all []suite.Check) []answered {
	var found []answered
	for _, statement := range suite.Statements() {
		one := answered{Statement: statement}
		for _, each := range all {
			if slices.Contains(each.Answers, statement.ID) {
				one.Checks++
			}
		}
		found = append(found, one)
	}
	return found
}

// cell makes a text fit for a table's cell, and code for one of literal text.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}

func code(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "`", "'").Replace(text)
}
