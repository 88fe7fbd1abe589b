package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is something in a Spec that would not work, or not as it reads.
type Problem struct {
	Path   Path
	Reason string
}

func (p Problem) String() string { return p.Path.String() + ": " + p.Reason }

// Path is where in a Spec something is: field names as in configurations (string), list positions (int) and keys of
// maps (Key).
type Path []any

// Key is a key of a map on a Path.
type Key string

// at returns the path of something below.
func (p Path) at(steps ...any) Path { return append(slices.Clone(p), steps...) }

func (p Path) String() string {
	var text strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			text.WriteString("[" + strconv.Itoa(step) + "]")
		case Key:
			text.WriteString("[" + strconv.Quote(string(step)) + "]")
		default:
			if i > 0 {
				text.WriteString(".")
			}
			fmt.Fprint(&text, step)
		}
	}
	return text.String()
}

// InvalidSpecError lists all that is wrong with a Spec.
type InvalidSpecError struct {
	Problems []Problem
}

func (e *InvalidSpecError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return "the cluster cannot be created as declared: " + strings.Join(lines, "; ")
}

// choices are the values that a field can have.
type choices []string

func (c choices) problem(path Path, value string) []Problem {
	if value == "" || slices.Contains(c, value) {
		return nil
	}
	return []Problem{{path, fmt.Sprintf("%q is none of %s.", value, c)}}
}

// String lists the choices for a sentence.
func (c choices) String() string {
	quoted := make([]string, len(c))
	for i, choice := range c {
		quoted[i] = "`" + choice + "`"
	}
	last := len(quoted) - 1
	if last < 1 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
