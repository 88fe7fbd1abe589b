package kubeletapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	client "k8s.io/client-go/tools/remotecommand"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// execByGet shows what kubelets make of the right to get nodes/proxy (kubernetes/kubernetes, KEP-2862).
func execByGet() suite.Check {
	return suite.Check{
		ID:       area + "get-proxy-equals-exec",
		Sentence: "who may get nodes/proxy, and nothing else, runs commands in pods; the right must be given to nobody for monitoring",
		Answers:  []string{"C6"},
		Limit:    limit,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			account, err := allowed(ctx, s, e, "/configz", "nodes/proxy")
			if err != nil {
				return err
			}
			node := s.LastNode()
			pod, err := anyOf(ctx, s, node)
			if err != nil {
				return err
			}
			word := rand.Text()
			answer, err := execute(ctx, s, node, account.Token, pod, "sh", "-c", "echo "+word)
			switch {
			case err != nil && strings.Contains(err.Error(), "403 Forbidden"):
				return suite.Skip("the kubelet of node %s doesn't take get nodes/proxy for the right to exec: %v", node.Name, err)
			case err != nil:
				return fmt.Errorf("exec at the kubelet of node %s: %w", node.Name, err)
			case strings.TrimSpace(answer) != word:
				return fmt.Errorf("the command on node %s answered %q, not %q", node.Name, answer, word)
			}
			e.Unsafe("%s, which may only get nodes/proxy, ran a command in pod %s by a WebSocket to the kubelet of node %s",
				account.User, pod.Name, node.Name)
			return nil
		},
	}
}

// anyOf is one of the run's pods on a node that has a shell.
func anyOf(ctx context.Context, s *suite.Subject, node suite.Node) (*corev1.Pod, error) {
	found, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name})
	if err != nil {
		return nil, err
	}
	for _, pod := range found.Items {
		if pod.Status.Phase == corev1.PodRunning && pod.Spec.Containers[0].Image == s.Images.Agnhost {
			return &pod, nil
		}
	}
	return nil, fmt.Errorf("the run has no running pod on node %s", node.Name)
}

// execute runs a command in a pod's first container by its kubelet. client-go's WebSockets heed no dialer of a rest.Config, so that
// they are told where the kubelet's port is forwarded from.
func execute(
	ctx context.Context, s *suite.Subject, node suite.Node, token string, pod *corev1.Pod, command ...string,
) (string, error) {
	conn, err := s.Dial(ctx, node, port)
	if err != nil {
		return "", err
	}
	defer conn.Close() // the port is forwarded until then
	at := conn.RemoteAddr().String()
	config := &rest.Config{Host: "https://" + at, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	target := url.URL{
		Scheme: "https", Host: at, Path: fmt.Sprintf("/exec/%s/%s/%s", pod.Namespace, pod.Name, pod.Spec.Containers[0].Name),
		RawQuery: url.Values{"command": command, "output": {"1"}, "error": {"1"}}.Encode(),
	}
	// The servers of container runtimes don't speak version 5, which the apiserver translates for them.
	executor, err := client.NewWebSocketExecutorForProtocols(config, http.MethodGet, target.String(), remotecommand.StreamProtocolV4Name)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(ctx, client.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if err != nil && stderr.Len() > 0 {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return stdout.String(), err
}
