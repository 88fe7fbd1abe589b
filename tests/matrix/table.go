package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
)

var (
	errNotRun      = errors.New("it was not run, because the run was interrupted before")
	errInterrupted = errors.New("the run was interrupted")
)

// column is one of the table that shows how long something took.
type column string

const (
	created   column = "create"
	applied   column = "apply"
	proved    column = "suite"
	destroyed column = "destroy"
)

// row is what became of a version.
type row struct {
	version image.Version
	took    map[column]time.Duration
	outcome program.Outcome // of the suite on the hardened cluster
	err     error
}

func (r *row) record(c column, took time.Duration) {
	if r.took == nil {
		r.took = map[column]time.Duration{}
	}
	r.took[c] = took
}

func (r row) verdict() string {
	switch {
	case errors.Is(r.err, errNotRun):
		return "not run"
	case errors.Is(r.err, errInterrupted):
		return "interrupted"
	case r.err != nil:
		return "FAILED"
	}
	return "passed"
}

func failed(rows []row) int {
	n := 0
	for _, r := range rows {
		if r.err != nil {
			n++
		}
	}
	return n
}

// printTable ends with a line for programs.
func printTable(to io.Writer, rows []row) {
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "Kubernetes\tcreate\tapply\tpassed\tfailed\tskipped\tsuite\tdestroy\tverdict")
	for _, r := range rows {
		cells := []string{r.version.String(), r.seconds(created), r.seconds(applied)}
		for _, verdict := range []string{program.Passed, program.Failed, program.Skipped} {
			cells = append(cells, r.count(verdict))
		}
		cells = append(cells, r.seconds(proved), r.seconds(destroyed), r.verdict())
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	_ = table.Flush()
	for _, r := range rows {
		if r.err != nil {
			fmt.Fprintf(to, "\n%s: %s\n", r.version, strings.ReplaceAll(r.err.Error(), "\n", "\n  "))
		}
	}
	fmt.Fprintf(to, "\nmatrix versions=%d failed=%d\n", len(rows), failed(rows))
}

// none stands for what a version did not come to.
const none = "-"

func (r row) seconds(c column) string {
	took, done := r.took[c]
	if !done {
		return none
	}
	return fmt.Sprintf("%.0f s", took.Seconds())
}

func (r row) count(verdict string) string {
	if r.outcome.Verdicts == nil {
		return none
	}
	return fmt.Sprint(r.outcome.Count(verdict))
}

// indented sets what is written into it off from what surrounds it.
type indented struct{ to io.Writer }

func (i indented) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Fprintf(i.to, "       %s", line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
