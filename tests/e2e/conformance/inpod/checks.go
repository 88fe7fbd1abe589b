// Package inpod checks how pods reach the apiserver: what they are given for it, by which names, and what their tokens are good
// for.
package inpod

import (
	"context"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "in-pod/"

// Checks lists what is checked. The pods that are checked from are made once, when the first check needs them.
func Checks() []suite.Check {
	shared := newBeds()
	return []suite.Check{
		shared.check(suite.Check{
			ID:       area + "files",
			Sentence: "a pod is given a token that names it, the root certificate that verifies the apiserver, and its namespace",
			Answers:  []string{"N5", "A5"},
		}, files),
		shared.answers(byDNS, "A5", "a pod reaches the apiserver as kubernetes.default.svc, and verifies it by the mounted root"),
		shared.answers(byAddress, "N6", "a pod reaches the apiserver at the virtual address of service `kubernetes`, and verifies it"),
		shared.answers(byEnvironment, "A5", "a pod reaches the apiserver where its environment says, and verifies it"),
		shared.check(suite.Check{
			ID:       area + "in-cluster-configuration",
			Sentence: "kubectl in a pod finds the apiserver and its credentials without any configuration",
			Answers:  []string{"A5", "A6"},
		}, inCluster),
		shared.check(suite.Check{
			ID:       area + "kubectl-proxy",
			Sentence: "a container asks the API over plain HTTP on the pod's own loopback through the `kubectl proxy` beside it",
			Answers:  []string{"A2", "A6", "A12"},
		}, sidecar),
		goClient(),
		pythonClient(),
		shared.wrongRoot(),
		shared.secrets(),
		shared.optOut(),
		audience(),
		shared.check(suite.Check{
			ID:       area + "mounted-token-expiry",
			Sentence: "a mounted token is good for as long as is declared: an hour, or up to a year where tokens are extended",
			Answers:  []string{"N5", "CIS 1.2.30"},
		}, mountedExpiry),
		shared.check(suite.Check{
			ID:       area + "short-token",
			Sentence: "a token that a pod asks for is signed for the 600 seconds and the audience that it asks for, and bound to the pod",
			Answers:  []string{"N5"},
		}, shortToken),
		renewal(),
		boundToken(),
		{
			ID:       area + "apiserver-names",
			Sentence: "the apiserver's certificate is for all names of the service `kubernetes` and for its virtual address",
			Answers:  []string{"N6", "A5"},
			Try:      names,
		},
		shared.check(suite.Check{
			ID: area + "endpoints",
			Sentence: "the service `kubernetes` leads to secure ports where apiservers answer, and every control plane node" +
				" is among them",
			Answers: []string{"N1", "N6"},
		}, endpoints),
	}
}

// check is one that is done from the shared pods.
func (b *beds) check(c suite.Check, try func(context.Context, *suite.Subject, *suite.Evidence, *bed) error) suite.Check {
	c.Limit, c.Try = suite.SharedLimit, b.With(try)
	return c
}

// answers is a check that the apiserver answers to a context of the pod's kubeconfig.
func (b *beds) answers(by, answered, sentence string) suite.Check {
	return b.check(suite.Check{ID: area + by, Sentence: sentence, Answers: []string{answered}},
		func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+by)
		})
}
