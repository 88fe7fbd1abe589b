// Package kubeletapi checks what kubelets answer to those who ask them directly, past the apiserver. Each is asked at the loopback
// address of its node.
package kubeletapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "kubelet-api/"

const (
	port         = kubelet.Port
	readOnlyPort = 10255
)

// limit leaves kubelets time to forget that they refused something, which takes 30 s.
const limit = 2 * time.Minute

// Checks lists what is checked.
func Checks() []suite.Check {
	all := []suite.Check{anonymous(), unknownToken(), delegation(), stranger()}
	for _, r := range rights() {
		all = append(all, r.check())
	}
	floor := suite.Check{
		ID:       area + "tls-floor",
		Sentence: "kubelets refuse clients that speak no TLS as new as is declared, or at least 1.2",
		Answers:  []string{"C6"},
	}
	return append(all,
		readOnly(),
		server.Floor(floor, "kubelet.tls_min_version", places),
		certificate(),
		execByGet(),
		holders(),
	)
}

func places(_ context.Context, s *suite.Subject) ([]server.Place, error) {
	var all []server.Place
	for _, node := range s.Nodes {
		all = append(all, server.Place{Called: "the kubelet of node " + node.Name, Dial: s.OnNode(node, port)})
	}
	return all, nil
}

// request asks a node's kubelet.
func request(s *suite.Subject, node suite.Node, path, token string) probe.Request {
	return probe.Request{URL: fmt.Sprintf("https://127.0.0.1:%d%s", port, path), Token: token, Dial: s.OnNode(node, port)}
}

// onEvery does the same on every node. Each may say what is wrong with it.
func onEvery(s *suite.Subject, do func(suite.Node) error) error {
	var group errgroup.Group
	problems := make([]error, len(s.Nodes))
	for i, node := range s.Nodes {
		group.Go(func() error {
			if err := do(node); err != nil {
				problems[i] = fmt.Errorf("the kubelet of node %s: %w", node.Name, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(problems...)
}

// expect asks every kubelet for the same, and demands the same answer.
func expect(ctx context.Context, s *suite.Subject, e *suite.Evidence, path, token string, status int, part string) error {
	return onEvery(s, func(node suite.Node) error {
		e.Note("the kubelet of node %s is asked for %s", node.Name, path)
		_, err := probe.Expect(ctx, e, request(s, node, path, token), status, part)
		return err
	})
}
