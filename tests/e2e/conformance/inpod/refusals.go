package inpod

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		Limit:    bedLimit,
		Refusal:  refusal,
		Control: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+byDNS)
		}),
		Try: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
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
		Limit:    bedLimit,
		Refusal:  refusal,
		Control: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return wait.Until(ctx, "the role to be heard of", wait.Options{Limit: grantLimit, Every: time.Second},
				func(ctx context.Context) error { return list(ctx, s, e, made.reader) })
		}),
		Try: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return probe.Refused(list(ctx, s, e, made.app), refusal)
		}),
	}
}

func letReadSecrets(ctx context.Context, s *suite.Subject) error {
	meta := metav1.ObjectMeta{Name: readerName}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}},
	}}
	if _, err := s.Client.RbacV1().Roles(s.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := s.Client.RbacV1().RoleBindings(s.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: readerName},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.Namespace, Name: readerName}},
	}, metav1.CreateOptions{})
	return err
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
		Limit:    bedLimit,
		Refusal:  refusal,
		Control: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return list(ctx, s, e, made.app)
		}),
		Try: b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
			return probe.Refused(list(ctx, s, e, made.opted), refusal)
		}),
	}
}
