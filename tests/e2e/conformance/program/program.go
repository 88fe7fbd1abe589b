// Package program runs the conformance suite as its users do: as the released program, whose results it reads.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// Program is the released program, and what of a run outlasts it.
type Program struct {
	Path    string
	Results string    // a folder for what the program writes; none is kept if empty
	Output  io.Writer // is told what the program prints while it runs; nobody is if nil
}

// Run runs the program at a path with flags, as Program.Run does.
func Run(ctx context.Context, path string, flags ...string) (Outcome, error) {
	return Program{Path: path}.Run(ctx, flags...)
}

// Run runs the program with flags. When ctx ends, the program is interrupted and removes what it made. A run that fails is no
// error: Outcome.Code says so.
func (p Program) Run(ctx context.Context, flags ...string) (Outcome, error) {
	results, err := p.results()
	if err != nil {
		return Outcome{}, err
	}
	if p.Results == "" {
		defer func() { _ = os.RemoveAll(results) }()
	}
	path, err := filepath.Abs(p.Path)
	if err != nil {
		return Outcome{}, err
	}
	run := exec.CommandContext(ctx, path, append([]string{"-results", results}, flags...)...)
	run.Dir = results
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = stopLimit
	var output bytes.Buffer
	run.Stdout = &output
	if p.Output != nil {
		run.Stdout = io.MultiWriter(&output, p.Output)
	}
	run.Stderr = run.Stdout // the same writer, so that one goroutine writes for both
	err = run.Run()
	outcome := Outcome{Output: output.String(), Verdicts: map[string]string{}, Reasons: map[string]string{}}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return outcome, fmt.Errorf("%s: %w", p.Path, err)
	}
	outcome.Code = run.ProcessState.ExitCode()
	return outcome, outcome.read(filepath.Join(results, resultsFile))
}

const resultsFile = "results.json"

// results is a folder without the results of a former run, which would be taken for this one's.
func (p Program) results() (string, error) {
	if p.Results == "" {
		return os.MkdirTemp("", "kubecomm-conformance-")
	}
	folder, err := filepath.Abs(p.Results)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.RemoveAll(filepath.Join(folder, resultsFile))
	}
	return folder, err
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
		return fmt.Errorf("%s: %w", resultsFile, err)
	}
	for _, check := range read.Checks {
		o.Verdicts[check.ID], o.Reasons[check.ID] = check.Verdict, check.Reason
	}
	return nil
}
