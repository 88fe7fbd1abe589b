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
	of     int // how many checks there are
}

func (r *recorder) begin(s *suite.Subject) {
	r.out, r.of = os.Stderr, len(everyCheck())
	r.report = report.Report{
		Cluster: s.Admin.Host, Version: s.Version, Expectation: s.Expect.String(), Begun: s.Started(),
	}
	fmt.Fprintf(r.out, "%s, Kubernetes %s, %d nodes, expected: %s\n", s.Admin.Host, s.Version, len(s.Nodes), s.Expect)
}

func (r *recorder) add(result suite.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Results = append(r.report.Results, result)
	line := fmt.Sprintf("[%d/%d] %-7s %s (%s)", len(r.report.Results), r.of, result.Verdict, result.ID,
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
