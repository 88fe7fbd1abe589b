package workload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
)

// execOver runs a command that answers with the node's name and what it was told.
func execOver(transport streamTransport) func(context.Context, Pod) error {
	return func(ctx context.Context, pod Pod) error {
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
}

// errNothing is of a command that ended well and answered nothing.
var errNothing = errors.New("it answered nothing")

// repeated uses a path once more that brought nothing. Over SPDY, a client reads a connection that is lost as the end of a command
// that went well (client-go v0.37.2, tools/remotecommand, copyStdout and watchErrorStream), which says nothing of who answered.
func repeated(use func(context.Context, Pod) error) func(context.Context, Pod) error {
	return func(ctx context.Context, pod Pod) error {
		err := use(ctx, pod)
		if errors.Is(err, errNothing) {
			err = use(ctx, pod)
		}
		return err
	}
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

// Echo runs a command over a WebSocket that answers with the node's name and what it was told.
func (p Pod) Echo(ctx context.Context) error { return execOver(webSocket)(ctx, p) }
