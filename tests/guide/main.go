// Command guide writes the pages of docs/ that are made from tables: of settings, what the provider's table says of each and how
// the tests show that it works, and of the conformance suite, every check.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guide FOLDER")
		os.Exit(2)
	}
	for _, page := range pages {
		if err := page.writeInto(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "guide:", err)
			os.Exit(1)
		}
	}
}

var (
	//go:embed settings.md.tmpl
	settingsPage string
	//go:embed checks.md.tmpl
	checksPage string
)

// page is a file, and what it is made from.
type page struct {
	name     string
	template string
	data     func() (map[string]any, error)
}

var pages = []page{{"settings.md", settingsPage, ofSettings}, {"checks.md", checksPage, ofChecks}}

// writeInto leaves the file as it was where the page can't be made.
func (p page) writeInto(folder string) error {
	var text bytes.Buffer
	if err := p.write(&text); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, p.name), text.Bytes(), 0o644)
}

func (p page) write(w io.Writer) error {
	functions := template.FuncMap{"cell": cell, "code": code, "join": strings.Join}
	parsed, err := template.New(p.name).Funcs(functions).Parse(p.template)
	if err != nil {
		return err
	}
	data, err := p.data()
	if err != nil {
		return err
	}
	return parsed.Execute(w, data)
}

func ofSettings() (map[string]any, error) {
	groups, err := describe(settings.Table())
	return map[string]any{"Groups": groups, "Trial": trial, "Files": files, "Live": live}, err
}

func ofChecks() (map[string]any, error) {
	all := catalogue.All()
	return map[string]any{"Areas": byArea(all), "Statements": count(all)}, nil
}
