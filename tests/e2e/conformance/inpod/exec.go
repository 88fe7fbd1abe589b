package inpod

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// run runs a command in a container and returns its standard output. What it wrote to the other one is a part of the error.
func run(ctx context.Context, s *suite.Subject, pod *corev1.Pod, container string, command ...string) (string, error) {
	target := s.Client.CoreV1().RESTClient().Get().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container, Command: command, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(s.Admin, http.MethodGet, target.String())
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return "", fmt.Errorf("container %s of pod %s: %w: %s", container, pod.Name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// read returns a file of the pod's.
func (b *bed) read(ctx context.Context, s *suite.Subject, path string) (string, error) {
	return run(ctx, s, b.app, client, "cat", path)
}

// raw has kubectl ask in a pod. Any flag that changes its configuration, were it only a time-out, keeps it from using that of the
// pod where no kubeconfig is given (client-go v0.37.1, tools/clientcmd/merged_client_builder.go).
func raw(ctx context.Context, s *suite.Subject, pod *corev1.Pod, path string, flags ...string) (string, error) {
	command := append([]string{"kubectl", "get", "--raw", path}, flags...)
	return run(ctx, s, pod, kubectl, command...)
}

// version has kubectl ask for the apiserver's version.
func (b *bed) version(ctx context.Context, s *suite.Subject, e *suite.Evidence, flags ...string) error {
	const path = "/version"
	text, err := raw(ctx, s, b.app, path, flags...)
	asked := strings.Join(append([]string{"kubectl get --raw " + path}, flags...), " ")
	if err != nil {
		e.Note("in the pod, %s: %v", asked, err)
		return fmt.Errorf("%s: %w", asked, err)
	}
	return noteVersion(e, "in the pod, "+asked, text)
}

func noteVersion(e *suite.Evidence, asked, text string) error {
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || !strings.HasPrefix(answer.GitVersion, "v") {
		return fmt.Errorf("%s answered %q, which is no apiserver's version", asked, text)
	}
	e.Note("%s → %s", asked, answer.GitVersion)
	return nil
}
