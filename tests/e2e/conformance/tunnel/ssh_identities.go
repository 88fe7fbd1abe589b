package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// sshIdentities asks in every namespace: a role may be bound to an account in any.
func sshIdentities(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	namespaces, err := s.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, namespace := range namespaces.Items {
		rights, err := rightsBeyond(ctx, s, ssh.ProxyAccount, namespace.Name)
		if err != nil {
			return err
		}
		for _, rule := range rights.ResourceRules {
			e.Note("in namespace %s, %s may %s", namespace.Name, accountUser(ssh.ProxyAccount), describeRule(rule))
		}
		if err := proxysRights(rights, namespace.Name == metav1.NamespaceSystem); err != nil {
			return fmt.Errorf("in namespace %s, %s %w", namespace.Name, accountUser(ssh.ProxyAccount), err)
		}
	}
	return nil
}

// proxysRights says what a proxy may do that it needn't, or may not do that it must.
func proxysRights(rights authorizationv1.SubjectRulesReviewStatus, own bool) error {
	if len(rights.NonResourceRules) > 0 {
		rule := rights.NonResourceRules[0]
		return fmt.Errorf("may %v %v", rule.Verbs, rule.NonResourceURLs)
	}
	var seen []string // what it may do with nodes
	renews := false
	for _, rule := range rights.ResourceRules {
		core := slices.Equal(rule.APIGroups, []string{""})
		switch {
		case core && slices.Equal(rule.Resources, []string{"nodes"}) && len(rule.ResourceNames) == 0 && onlyLooks(rule.Verbs):
			seen = append(seen, rule.Verbs...)
		case own && core && slices.Equal(rule.Resources, []string{"serviceaccounts/token"}) &&
			slices.Equal(rule.ResourceNames, []string{ssh.ProxyAccount}) && slices.Equal(rule.Verbs, []string{"create"}):
			renews = true
		default:
			return errors.New("may " + describeRule(rule))
		}
	}
	switch {
	case !slices.Contains(seen, "list") || !slices.Contains(seen, "watch"):
		return errors.New("may not list and watch nodes")
	case own && !renews:
		return errors.New("may not renew its own token")
	}
	return nil
}

func onlyLooks(verbs []string) bool {
	return !slices.ContainsFunc(verbs, func(verb string) bool { return verb != "list" && verb != "watch" })
}
