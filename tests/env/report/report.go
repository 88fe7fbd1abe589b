// Package report says what the environment does, how long it took, and what
// went wrong with what to do about it.
package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Problem is an error that a person can act on.
type Problem struct {
	// Attempted is what the program was doing, as "to start the container engine".
	Attempted string
	// Remedy is what to do next.
	Remedy string
	// Err is the original error.
	Err error
}

func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tried %s", p.Attempted)
	if p.Err != nil {
		fmt.Fprintf(&b, "\n  error: %s", indent(p.Err.Error()))
	}
	if p.Remedy != "" {
		fmt.Fprintf(&b, "\n  what to do: %s", indent(p.Remedy))
	}
	return b.String()
}

// Unwrap gives the original error to errors.Is and errors.As.
func (p *Problem) Unwrap() error { return p.Err }

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}

// Log prints steps. It may be used by several goroutines at once.
type Log struct {
	out io.Writer
	now func() time.Time
	mu  sync.Mutex
}

// NewLog returns a Log that writes to out and reads the time from now.
func NewLog(out io.Writer, now func() time.Time) *Log {
	return &Log{out: out, now: now}
}

// Step runs do, and prints title, the note that do returns or that it failed,
// and the time taken. A start line is printed as well, because some steps take
// minutes. The error is for the caller to print.
func (l *Log) Step(ctx context.Context, title string, do func(context.Context) (note string, err error)) error {
	l.printf("    .. %s", title)
	start := l.now()
	note, err := do(ctx)
	took := l.now().Sub(start).Seconds()
	if err != nil {
		l.printf("FAILED %s (%.1f s)", title, took)
		return err
	}
	if note != "" {
		note = ": " + note
	}
	l.printf("    ok %s%s (%.1f s)", title, note, took)
	return nil
}

// Say prints one line that is not a step.
func (l *Log) Say(format string, args ...any) { l.printf("       "+format, args...) }

func (l *Log) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}
