package main

import (
	"encoding/json"
	"errors"
	"io"
	"sort"
	"strings"
)

// count is a number of tests by how they ended.
type count struct{ passed, failed, skipped int }

func (c *count) add(o count) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
}

// event is the part of a `go test -json` event that counts: see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
}

// countTests counts each test once: a test with subtests counts by these alone, unless it failed by itself. A test
// that never ended failed, and so did a package that failed with none of its tests failing (it did not build, or
// broke outside a test). With an error comes what was counted up to there.
func countTests(stream io.Reader) (c count, failures []string, err error) {
	outcomes := map[event]string{} // by package and test; Test is empty for the package itself
	decoder := json.NewDecoder(stream)
	for {
		var e event
		if err = decoder.Decode(&e); err != nil {
			break
		}
		switch e.Action {
		case "start", "run", "pass", "fail", "skip":
			outcomes[event{Package: e.Package, Test: e.Test}] = e.Action
		}
	}

	if errors.Is(err, io.EOF) {
		err = nil
	}

	parents := map[event]bool{} // whether a test or package has a failure below it
	for e, outcome := range outcomes {
		bad := outcome == "fail" || outcome == "run"
		for e.Test != "" {
			e.Test = parentOf(e.Test)
			parents[e] = parents[e] || bad
		}
	}

	for e, outcome := range outcomes {
		failureBelow, hasChildren := parents[e]
		switch outcome {
		case "fail", "run", "start":
			if failureBelow {
				continue
			}
			c.failed++
			failures = append(failures, strings.TrimSuffix(e.Package+" "+e.Test, " "))
		case "pass":
			if e.Test != "" && !hasChildren {
				c.passed++
			}
		case "skip":
			if e.Test != "" && !hasChildren {
				c.skipped++
			}
		}
	}
	sort.Strings(failures)
	return c, failures, err
}

// parentOf is the test that a subtest belongs to, and empty, which stands for the package, for a top-level test.
func parentOf(test string) string {
	i := strings.LastIndex(test, "/")
	return test[:max(i, 0)]
}
