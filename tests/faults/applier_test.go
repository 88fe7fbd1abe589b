package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// orderVariable makes this binary an applier: a process that does one apply or restore, as a provider would, and halts
// at each event until it is told to go on, so that it can be killed there.
const orderVariable = "KUBECOMM_FAULTS_ORDER"

// order is what an applier is to do.
type order struct {
	Cluster   string
	Restore   bool
	Settings  settings.Settings
	Own       *own `json:",omitempty"` // in place of a CA of kubecomm's
	LockLimit time.Duration
}

// message is a line that an applier prints: an event, or how it ended.
type message struct {
	Progress *apply.Progress `json:",omitempty"`
	Outcome  *outcome        `json:",omitempty"`
}

// outcome is how an applier ended. Where a step failed, it says what errors can't say in JSON.
type outcome struct {
	Error   string
	Step    *apply.Step `json:",omitempty"`
	Phase   string
	Undone  []apply.Step
	UndoErr string
}

// carryOut is an applier's whole life.
func carryOut(text string) int {
	lines := bufio.NewScanner(os.Stdin)
	say := func(m message) {
		line, err := json.Marshal(m)
		if err == nil {
			_, err = fmt.Println(string(line))
		}
		if err != nil || !lines.Scan() {
			os.Exit(3) // whoever gave the order is gone
		}
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	say(message{Outcome: outcomeOf(o.do(func(p apply.Progress) { say(message{Progress: &p}) }))})
	return 0
}

func (o order) do(progress func(apply.Progress)) error {
	ctx := context.Background()
	found, err := cluster.NewEngine().Open(ctx, o.Cluster)
	if err != nil {
		return err
	}
	want, err := o.declared()
	if err != nil {
		return err
	}
	options := apply.Options{Settings: want, Now: time.Now, Progress: progress, LockLimit: o.LockLimit}
	if o.Restore {
		return apply.Restore(ctx, apply.On(found), options)
	}
	_, err = apply.Apply(ctx, apply.On(found), options)
	return err
}

func outcomeOf(err error) *outcome {
	if err == nil {
		return &outcome{}
	}
	o := &outcome{Error: err.Error()}
	if failure, ok := errors.AsType[*apply.StepError](err); ok {
		o.Step, o.Phase, o.Undone = &failure.Step, failure.Phase, failure.Undone
		if failure.UndoErr != nil {
			o.UndoErr = failure.UndoErr.Error()
		}
	}
	return o
}

// applier is an applier that runs, seen from the test.
type applier struct {
	command  *exec.Cmd
	stdin    io.WriteCloser
	stderr   *bytes.Buffer
	messages chan message // closed when it has ended
	halted   bool         // it waits to be told to go on
	last     *apply.Progress
}

func (s *suite) start(ctx context.Context, t *testing.T, o order, environment ...string) *applier {
	t.Helper()
	o.Cluster = s.name
	text, err := json.Marshal(o)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	a := &applier{command: exec.CommandContext(ctx, self), stderr: &bytes.Buffer{}, messages: make(chan message)}
	a.command.Env = append(append(os.Environ(), orderVariable+"="+string(text)), environment...)
	a.command.Stderr = a.stderr
	// What it started may outlive it.
	a.command.WaitDelay = 5 * time.Second
	a.stdin, err = a.command.StdinPipe()
	require.NoError(t, err)
	stdout, err := a.command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, a.command.Start())
	go func() {
		defer close(a.messages)
		decoder := json.NewDecoder(stdout)
		for {
			var m message
			if decoder.Decode(&m) != nil {
				return
			}
			a.messages <- m
		}
	}()
	t.Cleanup(func() { a.kill() })
	return a
}

func (a *applier) pid() int { return a.command.Process.Pid }

// kill ends the applier as it is, and waits for its end.
func (a *applier) kill() {
	_ = a.command.Process.Kill()
	for range a.messages { // its last words
	}
	_ = a.command.Wait()
}

// goOn lets an applier that has halted go on.
func (a *applier) goOn(t *testing.T) {
	t.Helper()
	if !a.halted {
		return
	}
	a.halted = false
	_, err := io.WriteString(a.stdin, "\n")
	require.NoError(t, err)
}

var (
	errEnded   = errors.New("the applier ended")
	errTimeOut = errors.New("nothing more was heard")
)

// next lets the applier go on and returns what it says next, while the timer runs.
func (a *applier) next(ctx context.Context, t *testing.T, timer <-chan time.Time) (message, error) {
	t.Helper()
	a.goOn(t)
	select {
	case m, ok := <-a.messages:
		if !ok {
			return m, fmt.Errorf("%w: %s", errEnded, a.stderr)
		}
		a.halted = true
		if m.Progress != nil {
			a.last = m.Progress
		}
		return m, nil
	case <-timer:
		return message{}, errTimeOut
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// reach lets the applier go on until an event that is sought, at which it then halts.
func (a *applier) reach(ctx context.Context, t *testing.T, sought func(apply.Progress) bool) {
	t.Helper()
	for {
		m, err := a.next(ctx, t, nil)
		require.NoError(t, err)
		require.Nil(t, m.Outcome, "the applier ended before what was sought: %+v", m.Outcome)
		if sought(*m.Progress) {
			return
		}
	}
}

// finish lets the applier go on until its end.
func (a *applier) finish(ctx context.Context, t *testing.T) outcome {
	t.Helper()
	for {
		m, err := a.next(ctx, t, nil)
		require.NoError(t, err)
		if m.Outcome != nil {
			a.goOn(t)
			return *m.Outcome
		}
	}
}
