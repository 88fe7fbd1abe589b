package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// JUnit writes the report with a test case for each check: its class is the area, its name is the check's, and its output is the
// sentence and the evidence.
func (r Report) JUnit(w io.Writer) error {
	cases := junit.Testsuite{
		Name: "kubecomm-conformance", Time: inSeconds(r.Elapsed), Timestamp: r.Begun.UTC().Format(time.RFC3339),
	}
	for name, value := range map[string]string{"cluster": r.Cluster, "version": r.Version, "expectation": r.Expectation} {
		cases.AddProperty(name, value)
	}
	for _, result := range r.Results {
		cases.AddTestcase(testcase(result))
	}
	if r.Problem != "" {
		cases.AddTestcase(junit.Testcase{
			Classname: "run", Name: "ended as it should", Time: inSeconds(0), Failure: &junit.Result{Message: r.Problem},
		})
	}
	suites := junit.Testsuites{Name: cases.Name, Time: cases.Time}
	suites.AddSuite(cases)
	return suites.WriteXML(w)
}

func testcase(result suite.Result) junit.Testcase {
	_, name, _ := strings.Cut(result.ID, "/")
	lines := []string{result.Sentence}
	for _, note := range result.Evidence {
		lines = append(lines, noted(note))
	}
	made := junit.Testcase{
		Classname: result.Area(), Name: name, Time: inSeconds(result.Elapsed),
		SystemOut: &junit.Output{Data: strings.Join(lines, "\n")},
	}
	switch result.Verdict {
	case suite.Failed:
		made.Failure = &junit.Result{Message: firstLine(result.Reason), Data: result.Reason}
	case suite.Skipped:
		made.Skipped = &junit.Result{Message: result.Reason}
	case suite.Passed:
	}
	return made
}

func noted(note suite.Note) string {
	if note.Unsafe {
		return "unsafe: " + note.Text
	}
	return note.Text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
