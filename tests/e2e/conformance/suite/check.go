// Package suite says what a conformance check is, what it is given of a cluster, and what becomes of it. What is checked is
// the matter of the packages beside it.
package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Check proves one thing about a cluster's communication paths.
type Check struct {
	ID       string   // area/name; it stays, because users select by it
	Sentence string   // what holds where the check passes
	Answers  []string // ids of Statements, or of CIS recommendations ("CIS 1.2.5")
	// Destructive is set of a check that restarts a component or changes a node's files. It puts back what it changed.
	Destructive bool
	// Slow is set of a check that waits for minutes for what happens by itself.
	Slow  bool
	Limit time.Duration // 0 means a minute

	// Refusal is what the asserted refusal says, where the check asserts one; Control is then the same probe where nothing
	// refuses it, and runs first: a probe that can't succeed would prove nothing by failing.
	Refusal string
	Control Action
	Try     Action
}

// Action is what a check does.
type Action = func(context.Context, *Subject, *Evidence) error

// Allowed says which checks are done that somebody has to ask for.
type Allowed struct{ Destructive, Slow bool }

// IfAllowed is the check, or where it isn't allowed, one that is skipped by saying which flag allows it.
func (c Check) IfAllowed(allowed Allowed) Check {
	var reason error
	switch {
	case c.Destructive && !allowed.Destructive:
		reason = Skip("it is destructive, and -destructive was not given")
	case c.Slow && !allowed.Slow:
		reason = Skip("it is slow, and -slow was not given")
	default:
		return c
	}
	c.Control = nil
	c.Try = func(context.Context, *Subject, *Evidence) error { return reason }
	return c
}

// Area is the first part of the check's id.
func (c Check) Area() string {
	area, _, _ := strings.Cut(c.ID, "/")
	return area
}

// Verdict is what became of a check.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped" // it could not be checked here, or needn't be
)

// Result is a check that was done.
type Result struct {
	Check
	Verdict  Verdict
	Reason   string // why it failed or was skipped
	Evidence []Note
	Elapsed  time.Duration
}

// Skip is the error of a check that can't, or needn't, be done on this cluster. It says why.
func Skip(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

type skip struct{ reason string }

func (s *skip) Error() string { return s.reason }

const defaultLimit = time.Minute

// Do does the check.
func (c Check) Do(ctx context.Context, subject *Subject) Result {
	start := time.Now()
	limit := c.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the check took longer than %s", limit))
	defer cancel()
	evidence := &Evidence{}
	err := c.try(limited, subject, evidence)
	if cause := context.Cause(limited); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	result := Result{Check: c, Verdict: Passed, Elapsed: time.Since(start), Evidence: evidence.Notes()}
	skipped, isSkip := errors.AsType[*skip](err)
	switch {
	case err == nil:
	case isSkip:
		result.Verdict, result.Reason = Skipped, skipped.reason
	case ctx.Err() != nil: // what it saw then says nothing of the cluster
		result.Verdict, result.Reason = Skipped, "the run was interrupted"
	default:
		result.Verdict, result.Reason = Failed, Redact(err.Error())
	}
	return result
}

func (c Check) try(ctx context.Context, subject *Subject, evidence *Evidence) (err error) {
	defer func() { // what is done to a cluster must be undone, whatever becomes of one check
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("the check panicked: %v", panicked)
		}
	}()
	if c.Control != nil {
		if err := c.Control(ctx, subject, evidence); err != nil {
			return fmt.Errorf("the positive control, which must succeed, failed: %w", err)
		}
	}
	return c.Try(ctx, subject, evidence)
}
