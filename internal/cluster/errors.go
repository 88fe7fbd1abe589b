package cluster

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	kindexec "sigs.k8s.io/kind/pkg/exec"
)

var (
	// ErrEngineUnavailable says that the container engine did not answer, so nothing is known about any cluster.
	ErrEngineUnavailable = errors.New("the container engine does not answer")

	// ErrNotFound says that the engine answered and has no cluster of that name.
	ErrNotFound = errors.New("no such kind cluster")
)

// CommandError is a command that ran on a node and failed. It holds what the command wrote to its standard error and
// nothing of its standard output, which may be a key.
type CommandError struct {
	Node    string
	Command string // the program's name, without arguments
	Code    int    // exit status, -1 if there was none
	Stderr  string
	Err     error
}

func (e *CommandError) Error() string {
	message := fmt.Sprintf("node %s: %s: %v", e.Node, e.Command, e.Err)
	if e.Stderr != "" {
		message += ": " + e.Stderr
	}
	return message
}

func (e *CommandError) Unwrap() error { return e.Err }

// newCommandError takes err apart that kind's exec package returned.
func newCommandError(node, command, stderr string, err error) *CommandError {
	failure := &CommandError{Node: node, Command: command, Code: -1, Stderr: strings.TrimSpace(stderr), Err: err}
	if run := kindexec.RunErrorForError(err); run != nil {
		failure.Err = run.Inner
	}
	if exit, ok := errors.AsType[*exec.ExitError](failure.Err); ok {
		failure.Code = exit.ExitCode()
	}
	if status, ok := errors.AsType[statusError](failure.Err); ok {
		failure.Code = int(status)
	}
	return failure
}
