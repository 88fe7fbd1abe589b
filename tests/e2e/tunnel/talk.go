package tunnel

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// talk is an exec session in which a pod repeats what it hears.
type talk struct {
	mouth  *io.PipeWriter
	ear    *io.PipeReader
	stderr *bytes.Buffer
	ended  chan error
	cancel context.CancelFunc
}

func beginTalk(ctx context.Context, pod workload.Pod) *talk {
	ctx, cancel := context.WithCancel(ctx)
	stdin, mouth := io.Pipe()
	ear, stdout := io.Pipe()
	s := &talk{mouth: mouth, ear: ear, stderr: new(bytes.Buffer), ended: make(chan error, 1), cancel: cancel}
	go func() {
		err := pod.Exec(ctx, workload.Streams{Stdin: stdin, Stdout: stdout, Stderr: s.stderr}, "cat")
		if err != nil {
			err = fmt.Errorf("%w%s", err, s.stderr)
		}
		_ = stdin.CloseWithError(io.ErrClosedPipe)
		_ = stdout.CloseWithError(err) // the end of the stream if there is none
		s.ended <- err
	}()
	return s
}

// say returns when the same has come back.
func (s *talk) say(text []byte) error {
	go func() { _, _ = s.mouth.Write(text) }() // what isn't heard isn't repeated
	heard := make([]byte, len(text))
	if n, err := io.ReadFull(s.ear, heard); err != nil {
		return fmt.Errorf("%d bytes of %d came back: %w", n, len(text), err)
	}
	if !bytes.Equal(text, heard) {
		return fmt.Errorf("it said %.100q and heard %.100q", text, heard)
	}
	return nil
}

// end expects that nothing more comes, and that the command ends well.
func (s *talk) end() error {
	_ = s.mouth.Close()
	if more, err := io.ReadAll(s.ear); err != nil || len(more) > 0 {
		return fmt.Errorf("after all was said, %.100q came: %w", more, err)
	}
	return <-s.ended
}

// drop ends it, however it is.
func (s *talk) drop() {
	s.cancel()
	_ = s.mouth.Close()
	_ = s.ear.Close()
}
