package kubeletapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func holders() suite.Check {
	return suite.Check{
		ID:       area + "nobody-holds-nodes-proxy",
		Sentence: "no service account outside of kube-system may use nodes/proxy, which equals exec in every pod",
		Answers:  []string{"C6"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			roles, err := s.Client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			bindings, err := s.Client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			found := holding(roles.Items, bindings.Items, metav1.NamespaceSystem, s.Namespace)
			e.Note("%d cluster roles and %d bindings were looked at", len(roles.Items), len(bindings.Items))
			if len(found) > 0 {
				return fmt.Errorf("%s", strings.Join(found, "; "))
			}
			return nil
		},
	}
}

// holding returns the service accounts, outside of namespaces, that a binding lets use nodes/proxy.
func holding(roles []rbacv1.ClusterRole, bindings []rbacv1.ClusterRoleBinding, namespaces ...string) []string {
	letting := map[string]bool{}
	for _, role := range roles {
		letting[role.Name] = slices.ContainsFunc(role.Rules, letsProxy)
	}
	var found []string
	for _, binding := range bindings {
		if binding.RoleRef.Kind != "ClusterRole" || !letting[binding.RoleRef.Name] {
			continue
		}
		for _, subject := range binding.Subjects {
			if called, counts := accountsOf(subject, namespaces); counts {
				found = append(found, fmt.Sprintf("%s, by ClusterRoleBinding %s to ClusterRole %s", called, binding.Name,
					binding.RoleRef.Name))
			}
		}
	}
	slices.Sort(found)
	return found
}

// accountsOf says which service accounts outside of namespaces a subject stands for, if any.
func accountsOf(subject rbacv1.Subject, namespaces []string) (string, bool) {
	const user, group = "system:serviceaccount:", "system:serviceaccounts"
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		return "service account " + subject.Namespace + "/" + subject.Name, !slices.Contains(namespaces, subject.Namespace)
	case rbacv1.UserKind:
		rest, isAccount := strings.CutPrefix(subject.Name, user)
		namespace, _, _ := strings.Cut(rest, ":")
		return "user " + subject.Name, isAccount && !slices.Contains(namespaces, namespace)
	}
	namespace, one := strings.CutPrefix(subject.Name, group+":")
	everybody := slices.Contains([]string{group, "system:authenticated", "system:unauthenticated"}, subject.Name)
	return "group " + subject.Name, everybody || one && !slices.Contains(namespaces, namespace)
}

// letsProxy reports whether a rule lets somebody use nodes/proxy at any node.
func letsProxy(rule rbacv1.PolicyRule) bool {
	has := func(list []string, either ...string) bool {
		return slices.ContainsFunc(either, func(one string) bool { return slices.Contains(list, one) })
	}
	return has(rule.APIGroups, "", rbacv1.APIGroupAll) && has(rule.Resources, "nodes/proxy", "*/proxy", rbacv1.ResourceAll) &&
		has(rule.Verbs, "get", "create", "update", "patch", "delete", rbacv1.VerbAll)
}
