package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Stream is what Attach returns.
type Stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// stream is the standard input and output of a command that runs on a node.
type stream struct {
	reader, writer *os.File
	cancel         context.CancelFunc
	done           chan struct{} // closed when the command has ended
	release        func()        // gives back the turn that the command was started in; nil if it has none

	mu     sync.Mutex
	reason error // why it ended, if it failed
}

// Attach starts a command on the node and returns its standard output and input. It lasts until it ends by itself, its
// input is closed by Close, or the process that called Attach ends, however it does: the engine then closes the
// command's input. A reader finds the command's failure, a *CommandError, in place of a bare end of file.
func (n *Node) Attach(ctx context.Context, command Command) (Stream, error) {
	return n.attachInTurn(ctx, n.exec, command, func(err error) error { return err })
}

// attachInTurn has the command's turn end when anything is read of it, because then it has started.
func (n *Node) attachInTurn(ctx context.Context, exec execFunc, command Command, explain func(error) error) (*stream, error) {
	release, err := takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	s, err := n.attach(ctx, exec, command, explain)
	if err != nil {
		release()
		return nil, err
	}
	s.release = release
	return s, nil
}

type execFunc func(ctx context.Context, command Command, stdout, stderr io.Writer) error

func (n *Node) attach(ctx context.Context, exec execFunc, command Command, explain func(error) error) (*stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stdinR, stdinW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdoutR, stdoutW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdinR.Close(), stdinW.Close())
	}
	// The command outlives the context that it was started with; Close ends it.
	execCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &stream{reader: stdoutR, writer: stdinW, cancel: cancel, done: make(chan struct{})}
	command.Stdin = stdinR
	go func() {
		defer close(s.done)
		var stderr bytes.Buffer
		if err := exec(execCtx, command, stdoutW, &stderr); err != nil {
			s.mu.Lock()
			s.reason = explain(newCommandError(n.name, command.Args[0], strings.TrimSpace(stderr.String()), err))
			s.mu.Unlock()
		}
		_ = stdinR.Close()
		_ = stdoutW.Close()
	}()
	return s, nil
}

func (s *stream) Read(p []byte) (int, error) {
	count, err := s.reader.Read(p)
	if s.release != nil {
		s.release()
	}
	return count, s.explain(err)
}

func (s *stream) Write(p []byte) (int, error) {
	count, err := s.writer.Write(p)
	return count, s.explain(err)
}

func (s *stream) explain(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != nil {
		return s.reason
	}
	return err
}

func (s *stream) SetReadDeadline(t time.Time) error { return s.reader.SetReadDeadline(t) }

// closeLimit is how long a command may take to end by itself once its input is closed.
const closeLimit = 5 * time.Second

// Close ends the command's input, and the command if that doesn't.
func (s *stream) Close() error {
	err := s.writer.Close()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-s.done:
	case <-limit.C:
	}
	s.cancel()
	return errors.Join(err, s.reader.Close())
}
