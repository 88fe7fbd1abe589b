// Package program runs the conformance suite as its users do: as the released program, whose results it reads.
package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Outcome is what became of a run.
type Outcome struct {
	Code     int // the program's exit code
	Verdicts map[string]string
	Reasons  map[string]string // of what failed or was skipped
	Output   string
}

// stopLimit is how long a program that is interrupted may take to remove what it made.
const stopLimit = time.Minute

// Run runs the program at a path with flags. When ctx ends, the program is interrupted and removes what it made. A run that
// fails is no error: Outcome.Code says so.
func Run(ctx context.Context, path string, flags ...string) (Outcome, error) {
	results, err := os.MkdirTemp("", "kubecomm-conformance-")
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = os.RemoveAll(results) }()
	program, err := filepath.Abs(path)
	if err != nil {
		return Outcome{}, err
	}
	run := exec.CommandContext(ctx, program, append([]string{"-results", results}, flags...)...)
	run.Dir = results
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = stopLimit
	output, err := run.CombinedOutput()
	outcome := Outcome{Output: string(output), Verdicts: map[string]string{}, Reasons: map[string]string{}}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return outcome, fmt.Errorf("%s: %w", path, err)
	}
	outcome.Code = run.ProcessState.ExitCode()
	return outcome, outcome.read(filepath.Join(results, "results.json"))
}

func (o *Outcome) read(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the run ended with code %d and left no results: %s", o.Code, o.Output)
	} else if err != nil {
		return err
	}
	var read struct {
		Checks []struct{ ID, Verdict, Reason string }
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("results.json: %w", err)
	}
	for _, check := range read.Checks {
		o.Verdicts[check.ID], o.Reasons[check.ID] = check.Verdict, check.Reason
	}
	return nil
}
