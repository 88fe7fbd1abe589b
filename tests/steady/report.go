package steady

import (
	"fmt"
	"time"
)

// Window is a span of time.
type Window struct{ From, To time.Time }

func (w Window) has(moment time.Time) bool { return !moment.Before(w.From) && moment.Before(w.To) }

// Failure is a request that failed.
type Failure struct {
	Asked  time.Time
	Took   time.Duration
	Stages Stages
	Error  string
}

func (f Failure) String() string {
	return fmt.Sprintf("asked at %s, after %s: %s (%s)", f.Asked.Format("15:04:05.000"), f.Took.Round(time.Millisecond),
		f.Error, f.Stages)
}

// Report is what became of the requests in a window.
type Report struct {
	Requests int
	Failures []Failure
	Longest  time.Duration // between two answers, or between one and the window's beginning or end
	Since    time.Time     // when the longest gap began
	Slowest  Answer        // the one that took longest, of those that didn't fail
	Outage   time.Duration // the longest from a failed request to the next that didn't fail; 0 if none failed
}

func (r Report) String() string {
	return fmt.Sprintf("%d requests, %d failed, longest gap %s", r.Requests, len(r.Failures), r.Longest.Round(time.Millisecond))
}

// Summarize says what became of the requests that were made in a window, of answers in order.
func Summarize(answers []Answer, window Window) Report {
	var report Report
	last := window.From
	var failing time.Time
	for _, answer := range answers {
		if !window.has(answer.Asked) {
			continue
		}
		report.Requests++
		if answer.Error != "" {
			report.Failures = append(report.Failures, Failure(answer))
			if failing.IsZero() {
				failing = answer.Asked
			}
			continue
		}
		if !failing.IsZero() {
			report.Outage = max(report.Outage, answer.ended().Sub(failing))
			failing = time.Time{}
		}
		if answer.Took > report.Slowest.Took {
			report.Slowest = answer
		}
		report.gap(last, answer.ended())
		last = answer.ended()
	}
	report.gap(last, window.To)
	if !failing.IsZero() {
		report.Outage = max(report.Outage, window.To.Sub(failing))
	}
	return report
}

func (r *Report) gap(from, to time.Time) {
	if length := to.Sub(from); length > r.Longest {
		r.Longest, r.Since = length, from
	}
}
