package conformance

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/report"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// recorder collects results and says how the run goes on, a line a check.
type recorder struct {
	mu     sync.Mutex
	out    io.Writer
	report report.Report
	of     int // how many checks there are; 0 if not all of them are done
}

// begin takes note of which cluster it is, and of how many checks will be done.
func (r *recorder) begin(s *suite.Subject, checks int) {
	r.out, r.of = os.Stderr, checks
	r.report = report.Report{
		Cluster: s.Admin.Host, Version: s.Version, Expectation: s.Expect.String(), Begun: s.Started(),
	}
	fmt.Fprintf(r.out, "%s, Kubernetes %s, %d nodes, expected: %s\n", s.Admin.Host, s.Version, len(s.Nodes), s.Expect)
}

func (r *recorder) add(result suite.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Results = append(r.report.Results, result)
	number := fmt.Sprint(len(r.report.Results))
	if r.of > 0 {
		number += fmt.Sprintf("/%d", r.of)
	}
	line := fmt.Sprintf("[%s] %-7s %s (%s)", number, result.Verdict, result.ID,
		result.Elapsed.Round(100*time.Millisecond))
	if result.Reason != "" {
		line += ": " + result.Reason
	}
	fmt.Fprintln(r.out, line)
	if result.Verdict != suite.Failed {
		return
	}
	for _, note := range result.Evidence {
		fmt.Fprintln(r.out, "        "+note.Text)
	}
}

// problem takes note of what is no check's.
func (r *recorder) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.Problem != "" {
		r.report.Problem += "; "
	}
	r.report.Problem += err.Error()
	fmt.Fprintln(r.out, "FAIL:", err)
}

// end writes the results into a folder, if there is one, and the summary.
func (r *recorder) end(folder string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Elapsed = time.Since(r.report.Begun)
	r.report.Sort()
	fmt.Fprintln(r.out, r.report.Summary())
	if folder == "" {
		return nil
	}
	return r.report.Write(folder)
}
