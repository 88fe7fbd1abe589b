package workload

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func logs(ctx context.Context, pod Pod) error {
	options := &corev1.PodLogOptions{Container: listener}
	result := pod.client.CoreV1().Pods(pod.namespace).GetLogs(pod.name, options).Do(ctx)
	if err := result.Error(); err != nil { // which, unlike DoRaw's, says what the apiserver said
		return err
	}
	text, err := result.Raw()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(text), pod.greeting()+"\n") {
		return fmt.Errorf("the log doesn't begin with %q: %q", pod.greeting(), text)
	}
	return nil
}

// follow reads what is in the log, then has the pod write a line, and waits for that line.
func follow(ctx context.Context, pod Pod) error {
	options := &corev1.PodLogOptions{Container: listener, Follow: true}
	stream, err := pod.client.CoreV1().Pods(pod.namespace).GetLogs(pod.name, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	if err := scanFor(lines, pod.greeting()); err != nil {
		return err
	}
	line := "written " + rand.Text()
	script := fmt.Sprintf("echo %q >/proc/1/fd/1", line)
	if _, err := execute(ctx, pod, webSocket, "", "sh", "-c", script); err != nil {
		return fmt.Errorf("the log was followed, but nothing could be written to it: %w", err)
	}
	return scanFor(lines, line)
}

func scanFor(lines *bufio.Scanner, wanted string) error {
	for lines.Scan() {
		if lines.Text() == wanted {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the log broke off before the line %q: %w", wanted, err)
	}
	return fmt.Errorf("the log ended before the line %q", wanted)
}

// Log returns what the pod's listener has written.
func (p Pod) Log(ctx context.Context, options *corev1.PodLogOptions) ([]byte, error) {
	options.Container = listener
	return p.client.CoreV1().Pods(p.namespace).GetLogs(p.name, options).DoRaw(ctx)
}
