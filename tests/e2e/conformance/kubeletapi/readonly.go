package kubeletapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/tools/portforward"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// notListening is what a container runtime says that forwards a port on which nobody listens.
const notListening = "connection refused"

// readOnly forwards the port by itself: subject.Dial connects first and breaks off then, without the reason.
func readOnly() suite.Check {
	return suite.Check{
		ID:       area + "read-only-port",
		Sentence: "kubelets don't tell of their pods over plain HTTP",
		Answers:  []string{"C6", "CIS 4.2.4"},
		Refusal:  notListening,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return onEvery(s, func(node suite.Node) error {
				answer, err := speak(ctx, s, node, port)
				e.Note("plain HTTP to port %d of node %s: %s", port, node.Name, answer)
				if err == nil && answer == "" {
					err = errors.New("it answered nothing to plain HTTP")
				}
				return err
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return onEvery(s, func(node suite.Node) error {
				answer, err := speak(ctx, s, node, readOnlyPort)
				e.Note("plain HTTP to port %d of node %s: %s%v", readOnlyPort, node.Name, answer, err)
				if answer != "" {
					return fmt.Errorf("port %d answered %q", readOnlyPort, answer)
				}
				return probe.Refused(err, notListening)
			})
		},
	}
}

// beginning is how much of an answer is enough, in bytes.
const beginning = 256

// speak asks for /pods at a port of a node's loopback address, and returns the beginning of the answer, or the reason that the
// node's container runtime gives why there is none.
func speak(ctx context.Context, s *suite.Subject, node suite.Node, port uint16) (string, error) {
	target := s.Client.CoreV1().RESTClient().Get().Resource("pods").Namespace(s.Namespace).Name(suite.HostPod(node)).
		SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, s.Admin)
	if err != nil {
		return "", err
	}
	conn, _, err := dialer.Dial(constants.PortForwardV1Name)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, fmt.Sprint(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	problem, err := conn.CreateStream(headers)
	if err != nil {
		return "", err
	}
	_ = problem.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		return "", err
	}
	// Where nobody listens this fails or not, depending on who is first; what counts is what is read.
	_, _ = io.WriteString(data, "GET /pods HTTP/1.0\r\n\r\n")
	answer, _ := io.ReadAll(io.LimitReader(data, beginning))
	if len(answer) > 0 {
		return string(answer), nil
	}
	reason, err := io.ReadAll(problem)
	if err == nil && len(reason) > 0 {
		err = errors.New(string(reason))
	}
	return "", err
}
