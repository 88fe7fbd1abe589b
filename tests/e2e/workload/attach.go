package workload

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
)

// attachOver tells the pod's listener a word and waits until it repeats it.
func attachOver(transport streamTransport) func(context.Context, Pod) error {
	return func(ctx context.Context, pod Pod) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		executor, err := transport(pod, "attach", &corev1.PodAttachOptions{
			Container: listener, Stdin: true, Stdout: true, Stderr: true,
		})
		if err != nil {
			return err
		}
		word := rand.Text()
		stdin, mouth := io.Pipe()
		defer stdin.Close()
		go repeat(ctx, mouth, word+"\n")
		ear := &ear{wanted: "heard " + word + "\n", heard: cancel}
		err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: ear, Stderr: io.Discard})
		if text, heard := ear.result(); !heard {
			return fmt.Errorf("%w (until then it heard %q, not %q)", orEnded(err), text, ear.wanted)
		}
		return nil // the listener doesn't end, so the stream was ended from here
	}
}

// repeat says a line until it is told to stop: the container runtime passes input on before it passes output back, so
// that the answer to the first may go unheard.
func repeat(ctx context.Context, mouth *io.PipeWriter, line string) {
	defer mouth.Close()
	pause := time.NewTicker(500 * time.Millisecond)
	defer pause.Stop()
	for {
		if _, err := io.WriteString(mouth, line); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func orEnded(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ear is an output stream that knows what it waits for.
type ear struct {
	wanted string
	heard  func()

	mu   sync.Mutex
	text bytes.Buffer
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	count, err := e.text.Write(p)
	if strings.Contains(e.text.String(), e.wanted) {
		e.heard()
	}
	return count, err
}

func (e *ear) result() (text string, heard bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String(), strings.Contains(e.text.String(), e.wanted)
}
