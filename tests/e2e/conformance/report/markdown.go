package report

import (
	_ "embed"
	"io"
	"strings"
	"text/template"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

//go:embed results.md.tmpl
var markdown string

// Markdown writes a table with a line for each check, and below it the evidence of those that failed.
func (r Report) Markdown(w io.Writer) error {
	page, err := template.New(MarkdownFile).Funcs(template.FuncMap{
		"cell": cell, "join": strings.Join, "evidence": evidenceOf, "seconds": seconds,
		"failed": func(result suite.Result) bool { return result.Verdict == suite.Failed },
	}).Parse(markdown)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

func seconds(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

// cell makes a text fit for a table's cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", "", "<", "&lt;", "`", "").Replace(text)
}

// evidenceOf is a result's evidence in one cell: the reason where there is one, else the last that was seen, and whatever isn't
// safe.
func evidenceOf(result suite.Result) string {
	var parts []string
	if result.Reason != "" {
		parts = append(parts, shorten(result.Reason))
	}
	for i, note := range result.Evidence {
		switch {
		case note.Unsafe:
			parts = append(parts, "**unsafe**: "+shorten(note.Text))
		case result.Reason == "" && i == len(result.Evidence)-1:
			parts = append(parts, shorten(note.Text))
		}
	}
	return strings.Join(parts, "; ")
}

func shorten(text string) string {
	const limit = 240
	if text = cell(text); len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
