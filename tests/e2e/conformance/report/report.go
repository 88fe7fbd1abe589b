// Package report writes down what a run of the conformance suite found: for people as Markdown, for programs as JSON, for CI
// systems as JUnit.
package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// Report is what a run found.
type Report struct {
	Cluster     string // where its API is
	Version     string // of Kubernetes
	Expectation string
	Begun       time.Time
	Elapsed     time.Duration
	Results     []suite.Result
	Problem     string // that isn't a check's: the clean-up failed, or the run was interrupted; empty if there is none
}

// Count returns how many checks have a verdict.
func (r Report) Count(verdict suite.Verdict) int {
	count := 0
	for _, result := range r.Results {
		if result.Verdict == verdict {
			count++
		}
	}
	return count
}

// Summary is one line.
func (r Report) Summary() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped in %s", r.Count(suite.Passed), r.Count(suite.Failed),
		r.Count(suite.Skipped), r.Elapsed.Round(time.Second))
}

// Sort puts the results in the order of their ids.
func (r *Report) Sort() {
	slices.SortFunc(r.Results, func(a, b suite.Result) int { return cmp.Compare(a.ID, b.ID) })
}

// The files of a report.
const (
	JUnitFile    = "junit.xml"
	JSONFile     = "results.json"
	MarkdownFile = "results.md"
)

// Write writes the report in each form into a folder, which it makes.
func (r Report) Write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var problems []error
	for name, write := range map[string]func(io.Writer) error{JUnitFile: r.JUnit, JSONFile: r.JSON, MarkdownFile: r.Markdown} {
		problems = append(problems, writeFile(filepath.Join(folder, name), write))
	}
	return errors.Join(problems...)
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// line is a result as programs read it. Its names stay.
type line struct {
	ID          string        `json:"id"`
	Sentence    string        `json:"sentence"`
	Answers     []string      `json:"answers"`
	Destructive bool          `json:"destructive"`
	Slow        bool          `json:"slow"`
	Refusal     string        `json:"refusal,omitempty"`
	Verdict     suite.Verdict `json:"verdict"`
	Reason      string        `json:"reason,omitempty"`
	Seconds     float64       `json:"seconds"`
	Evidence    []suite.Note  `json:"evidence"`
}

// JSON writes the report as one object.
func (r Report) JSON(w io.Writer) error {
	lines := make([]line, 0, len(r.Results))
	for _, result := range r.Results {
		lines = append(lines, line{
			ID: result.ID, Sentence: result.Sentence, Answers: result.Answers, Destructive: result.Destructive,
			Slow: result.Slow, Refusal: result.Refusal, Verdict: result.Verdict, Reason: result.Reason, Seconds: result.Elapsed.Seconds(),
			Evidence: result.Evidence,
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Cluster     string    `json:"cluster"`
		Version     string    `json:"version"`
		Expectation string    `json:"expectation"`
		Begun       time.Time `json:"begun"`
		Seconds     float64   `json:"seconds"`
		Passed      int       `json:"passed"`
		Failed      int       `json:"failed"`
		Skipped     int       `json:"skipped"`
		Problem     string    `json:"problem,omitempty"`
		Checks      []line    `json:"checks"`
	}{
		r.Cluster, r.Version, r.Expectation, r.Begun.UTC(), r.Elapsed.Seconds(),
		r.Count(suite.Passed), r.Count(suite.Failed), r.Count(suite.Skipped), r.Problem, lines,
	})
}
