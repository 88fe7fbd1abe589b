package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// shownFailures is how many failures are shown of each place: the first tell the cause.
const shownFailures = 5

// print ends with a line for programs.
func (r result) print(to io.Writer) {
	fmt.Fprintf(to, "%d control plane(s) and a worker, %s. Every request by a new connection.\n",
		r.options.controlPlanes, r.options.ipFamily)
	for _, c := range slices.Concat([]change{r.quiet}, r.applied, []change{r.byHand}) {
		r.printChange(to, c)
	}
	r.printApplies(to)
	applied, byHand := r.total(r.applied...), r.total(r.byHand)
	fmt.Fprintf(to, "\nswap requests=%d failed=%d longest_gap_ms=%d apply_ms=%d naive_outage_ms=%d\n",
		applied.requests, applied.failed, applied.longest.Milliseconds(), median(r.applied).Milliseconds(),
		byHand.outage.Milliseconds())
}

func (r result) printApplies(to io.Writer) {
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "apply\ttook\trequests\tfailed\tlongest gap")
	for i, c := range r.applied {
		sum := r.total(c)
		fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%s\n", i+1, milliseconds(c.took), sum.requests, sum.failed, milliseconds(sum.longest))
	}
	_ = table.Flush()
}

func (r result) printChange(to io.Writer, c change) {
	fmt.Fprintf(to, "\n%s: took %s, observed for %s\n", upper(c.title), seconds(c.took), seconds(c.window.To.Sub(c.window.From)))
	for _, mark := range c.marks {
		fmt.Fprintf(to, "  %s  %s\n", c.offset(mark.at), mark.what)
	}
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "client\trequests\tfailed\tlongest gap\tsince\tlongest outage")
	for _, seen := range r.seen {
		report := steady.Summarize(answersOf(seen.records), c.window)
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\n", seen.place, report.Requests, len(report.Failures),
			milliseconds(report.Longest), c.offset(report.Since), milliseconds(report.Outage))
	}
	_ = table.Flush()
	for _, seen := range r.seen {
		report := steady.Summarize(answersOf(seen.records), c.window)
		fmt.Fprintf(to, "  %s  %s: the slowest took %s, in %q: %s\n", c.offset(report.Slowest.Asked), seen.place,
			milliseconds(report.Slowest.Took), c.phase(report.Slowest.Asked), report.Slowest.Stages)
		for _, failure := range report.Failures[:min(len(report.Failures), shownFailures)] {
			fmt.Fprintf(to, "  %s  %s: after %s, in %q: %s\n", c.offset(failure.Asked), seen.place,
				milliseconds(failure.Took), c.phase(failure.Asked), failure.Error)
		}
	}
	r.printHoldings(to, c)
}

func (r result) printHoldings(to io.Writer, c change) {
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "held\tended\tback within\tlongest silence\tlost\trepeated\tread anew")
	holdings := r.holdings(c)
	for _, held := range holdings {
		back, silence := milliseconds(held.back), milliseconds(held.silence)
		if held.away {
			back = "not back"
		}
		if held.thing == observer.QuietWatch {
			silence = "-"
		}
		fmt.Fprintf(table, "%s: %s\t%d\t%s\t%s\t%d\t%d\t%d\n",
			held.place, held.thing, len(held.ends), back, silence, held.lost, held.repeated, held.relisted)
	}
	_ = table.Flush()
	for _, held := range holdings {
		for _, end := range held.ends {
			fmt.Fprintf(to, "  %s  %s: %s: %s\n", c.offset(end.At), held.place, held.thing, end.Why)
		}
	}
}

// offset is a moment as seen from the change's beginning.
func (c change) offset(at time.Time) string {
	return fmt.Sprintf("%+8.3f s", at.Sub(c.window.From).Seconds())
}

func seconds(d time.Duration) string      { return fmt.Sprintf("%.1f s", d.Seconds()) }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
