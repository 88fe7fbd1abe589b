// Command tally adds up what the stages of `make test` left behind and ends with one line: how many tests passed,
// failed and were skipped. It exits with 1 if anything failed, a stage that proved nothing included.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: tally DIRECTORY STAGE...")
		os.Exit(2)
	}
	failed, err := report(os.Stdout, os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

// report writes one row for each stage, the names of what failed and the summary line.
func report(w io.Writer, dir string, names []string) (failed bool, err error) {
	var total count
	var failures []string
	fmt.Fprintf(w, "\n%-16s%8s%8s%8s%10s\n", "stage", "passed", "failed", "skipped", "time")
	for _, name := range names {
		s, err := readStage(dir, name)
		if err != nil {
			return true, err
		}
		total.add(s.count)
		for _, f := range s.failures {
			failures = append(failures, name+": "+f)
		}
		fmt.Fprintln(w, s)
	}
	if len(failures) > 0 {
		fmt.Fprintln(w, "\nfailed:")
		for _, f := range failures {
			fmt.Fprintln(w, "  "+f)
		}
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	return total.failed > 0, nil
}
