package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
)

// The sessions that people hold.
const (
	logSession  = "logs -f"
	execSession = "exec"
)

const (
	sessionPause = 200 * time.Millisecond
	// silenceLimit is after how long without output a session that should print all the time counts as dead.
	silenceLimit = 15 * time.Second
)

// session is a session that is begun again each time that it ended, as people do, only sooner.
type session struct {
	thing string
	open  func(ctx context.Context, output io.Writer) error // lasts as long as the session
	keep  func(observer.Record)
}

func (b *bed) sessions(keep func(observer.Record)) []session {
	return []session{{logSession, b.followLog, keep}, {execSession, b.runCommand, keep}}
}

func (b *bed) followLog(ctx context.Context, output io.Writer) error {
	last := int64(1)
	options := &corev1.PodLogOptions{Follow: true, TailLines: &last}
	stream, err := b.client.CoreV1().Pods(observer.Namespace).GetLogs(printer, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(output, stream)
	return err
}

// runCommand goes the way that kubectl goes.
func (b *bed) runCommand(ctx context.Context, output io.Writer) error {
	options := &corev1.PodExecOptions{Command: []string{"sh", "-c", printScript}, Stdout: true, Stderr: true}
	url := b.client.CoreV1().RESTClient().Get().Resource("pods").Namespace(observer.Namespace).Name(printer).
		SubResource("exec").VersionedParams(options, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(b.config, http.MethodGet, url.String())
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: output, Stderr: output})
}

func (s session) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.turn(ctx)
		select {
		case <-time.After(sessionPause):
		case <-ctx.Done():
		}
	}
}

func (s session) turn(ctx context.Context) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceLimit, func() { cancel(errSilent) })
	defer silence.Stop()
	began := false
	err := s.open(limited, writerFunc(func(text []byte) (int, error) {
		silence.Reset(silenceLimit)
		if !began {
			began = true
			s.note(observer.Began, "")
		}
		s.note(observer.Heard, "")
		return len(text), nil
	}))
	if ctx.Err() != nil {
		return
	}
	why := "it ended without an error"
	if cause := context.Cause(limited); cause != nil {
		why = cause.Error()
	} else if err != nil {
		why = err.Error()
	}
	if began {
		s.note(observer.Ended, why)
		return
	}
	s.note(observer.Refused, why)
}

func (s session) note(what observer.What, why string) {
	s.keep(observer.Record{Moment: &observer.Moment{Thing: s.thing, At: time.Now(), What: what, Why: why}})
}

var errSilent = fmt.Errorf("nothing arrived for %s", silenceLimit)

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }
