// Command guide writes the page of docs/ that lists every setting: what the table of settings says of it, and how the
// tests show that it works.
package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"text/template"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guide FILE")
		os.Exit(2)
	}
	if err := writeFile(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "guide:", err)
		os.Exit(1)
	}
}

//go:embed settings.md.tmpl
var page string

func writeFile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func write(w io.Writer) error {
	parsed, err := template.New("settings").Parse(page)
	if err != nil {
		return err
	}
	groups, err := describe(settings.Table())
	if err != nil {
		return err
	}
	return parsed.Execute(w, map[string]any{"Groups": groups, "Trial": trial, "Live": live})
}
