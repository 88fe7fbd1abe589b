// Package command runs programs and keeps what they said for the error.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cmd is one call of a program.
type Cmd struct {
	Args  []string
	Dir   string
	Env   []string // added to the environment of this process
	Stdin io.Reader
	// Stdout receives standard output instead of Run's result, where set.
	Stdout io.Writer
	// Nice lowers the priority, for work that shares the machine with tests.
	Nice bool
	// Grace is how long the command may take to end by itself when it is interrupted; 0 kills it at once.
	Grace time.Duration
}

// Runner runs commands; tests replace it.
type Runner interface {
	Run(ctx context.Context, c Cmd) (stdout string, err error)
}

// Error is a command that failed, with the end of what it printed.
type Error struct {
	Args []string
	Tail string
	Err  error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", strings.Join(e.Args, " "), e.Err)
	if e.Tail != "" {
		s += "\n" + e.Tail
	}
	return s
}

// Unwrap gives the underlying error to errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Exec runs commands on this machine.
type Exec struct{}

const tailLines = 25

// Run implements Runner. The whole process group ends with ctx, because
// debootstrap and go build start children that would otherwise go on.
func (Exec) Run(ctx context.Context, c Cmd) (string, error) {
	if len(c.Args) == 0 {
		return "", errors.New("empty command")
	}
	args := c.Args
	if c.Nice {
		args = append([]string{"nice", "-n", "5"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin = c.Stdin
	cmd.SysProcAttr = ownGroup()
	group := func(signal syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, signal) }
	cmd.Cancel = func() error { return group(syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if c.Grace > 0 {
		cmd.Cancel = func() error { return group(syscall.SIGINT) }
		cmd.WaitDelay = c.Grace
	}
	var stdout bytes.Buffer
	var both shared
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	} else {
		cmd.Stdout = io.MultiWriter(&stdout, &both)
	}
	cmd.Stderr = &both
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			if cmd.Process != nil {
				_ = group(syscall.SIGKILL) // who outlasted the grace
			}
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return stdout.String(), &Error{Args: c.Args, Tail: tail(both.String()), Err: err}
	}
	return stdout.String(), nil
}

// shared is a buffer that both streams of a command are written to.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func tail(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}

// Output runs args and returns standard output without surrounding space.
func Output(ctx context.Context, r Runner, args ...string) (string, error) {
	out, err := r.Run(ctx, Cmd{Args: args})
	return strings.TrimSpace(out), err
}
