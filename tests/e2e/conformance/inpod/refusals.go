package inpod

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func (b *beds) wrongRoot() suite.Check {
	const refusal = "x509: certificate signed by unknown authority"
	return suite.Check{
		ID:       area + "wrong-root-certificate",
		Sentence: "a client in a pod refuses an apiserver that its root certificate didn't sign",
		Answers:  []string{"N8", "A3", "A5"},
		Limit:    suite.SharedLimit,
		Refusal:  refusal,
		Control: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+byDNS)
		}),
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return probe.Refused(made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+wrongRoot), refusal)
		}),
	}
}

// grantLimit is how long an authorizer may take to hear of a binding.
const grantLimit = 20 * time.Second

func (b *beds) secrets() suite.Check {
	const refusal = `cannot list resource "secrets"`
	list := func(ctx context.Context, s *suite.Subject, e *suite.Evidence, pod *corev1.Pod) error {
		path := "/api/v1/namespaces/" + s.Namespace + "/secrets?limit=1"
		_, err := raw(ctx, s, pod, path) // its answer is nobody's business
		if err == nil {
			e.Note("in pod %s, kubectl get --raw %s was answered", pod.Name, path)
			return nil
		}
		e.Note("in pod %s, kubectl get --raw %s: %v", pod.Name, path, err)
		return err
	}
	return suite.Check{
		ID:       area + "unauthorized-account",
		Sentence: "a pod's account may not list secrets unless a role that may is bound to it",
		Answers:  []string{"N3", "N5"},
		Limit:    suite.SharedLimit,
		Refusal:  refusal,
		Control: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return wait.Until(ctx, "the role to be heard of", wait.Options{Limit: grantLimit, Every: time.Second},
				func(ctx context.Context) error { return list(ctx, s, e, made.reader) })
		}),
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return probe.Refused(list(ctx, s, e, made.app), refusal)
		}),
	}
}

func (b *beds) optOut() suite.Check {
	const refusal = "No such file or directory"
	list := func(ctx context.Context, s *suite.Subject, e *suite.Evidence, pod *corev1.Pod) error {
		names, err := run(ctx, s, pod, client, "ls", mounted)
		if err != nil {
			e.Note("in pod %s, ls %s: %v", pod.Name, mounted, err)
			return err
		}
		e.Note("in pod %s, ls %s: %s", pod.Name, mounted, names)
		return nil
	}
	return suite.Check{
		ID:       area + "opted-out",
		Sentence: "a pod that asks for no token is given none",
		Answers:  []string{"N5", "CIS 5.1.6"},
		Limit:    suite.SharedLimit,
		Refusal:  refusal,
		Control: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return list(ctx, s, e, made.app)
		}),
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return probe.Refused(list(ctx, s, e, made.opted), refusal)
		}),
	}
}
