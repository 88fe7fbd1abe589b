// Command guide writes the page of docs/ that lists every setting: what the table of settings says of it, and how the
// tests show that it works.
package main

import (
	"bytes"
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

// writeFile leaves the file as it was where the page can't be made.
func writeFile(path string) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
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
	return parsed.Execute(w, map[string]any{"Groups": groups, "Trial": trial, "Files": files, "Live": live})
}
