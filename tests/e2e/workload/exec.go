package workload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
)

// tries is how often a command is run that brings nothing.
const tries = 5

// execOver runs a command that answers with the node's name and what it was told. One that brought nothing is run again: a
// connection that is lost reads as the end of a command that went well wherever SPDY is spoken, and apiservers speak it with
// kubelets, whatever the client speaks (client-go v0.37.2, tools/remotecommand, copyStdout and watchErrorStream). On a machine
// with much to do, one in a thousand was seen, and with Kubernetes 1.34 two in a row; it says nothing of who answered.
func execOver(transport streamTransport) func(context.Context, Pod) error {
	return func(ctx context.Context, pod Pod) error {
		err := errNothing
		for try := 0; try < tries && errors.Is(err, errNothing); try++ {
			err = ask(ctx, pod, transport)
		}
		return err
	}
}

// errNothing is of a command that ended well and answered nothing.
var errNothing = errors.New("it answered nothing")

func ask(ctx context.Context, pod Pod, transport streamTransport) error {
	word := rand.Text()
	answer, err := execute(ctx, pod, transport, word+"\n", "sh", "-c", `read -r word; echo "$NODE_NAME heard $word"`)
	if err != nil {
		return err
	}
	if answer == "" {
		return errNothing
	}
	if wanted := fmt.Sprintf("%s heard %s\n", pod.Node, word); answer != wanted {
		return fmt.Errorf("it answered %q, not %q", answer, wanted)
	}
	return nil
}

// execute runs a command in the pod's listener and returns its standard output.
func execute(ctx context.Context, pod Pod, transport streamTransport, input string, command ...string) (string, error) {
	executor, err := transport(pod, "exec", &corev1.PodExecOptions{
		Container: listener, Command: command, Stdin: input != "", Stdout: true, Stderr: true,
	})
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	options := remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}
	if input != "" {
		options.Stdin = strings.NewReader(input)
	}
	if err := executor.StreamWithContext(ctx, options); err != nil {
		return "", fmt.Errorf("%w%s", err, stderr.String())
	}
	return stdout.String(), nil
}

// Streams are those of a command.
type Streams struct {
	Stdin          io.Reader // may be nil
	Stdout, Stderr io.Writer
}

// Exec runs a command over a WebSocket in the pod's listener, with streams of the caller's, until it ends.
func (p Pod) Exec(ctx context.Context, streams Streams, command ...string) error {
	executor, err := webSocket(p, "exec", &corev1.PodExecOptions{
		Container: listener, Command: command, Stdin: streams.Stdin != nil, Stdout: true, Stderr: true,
	})
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
}

// Echo runs a command over a WebSocket that answers with the node's name and what it was told.
func (p Pod) Echo(ctx context.Context) error { return execOver(webSocket)(ctx, p) }
