package access

import (
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func role(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func binding(name, role string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: subjects,
	}
}

func user(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }
func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name} }

func TestARuleIsReadAsTheApiserverReadsIt(t *testing.T) {
	request := Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}
	tests := map[string]struct {
		rule  rbacv1.PolicyRule
		allow bool
	}{
		"exactly that":                      {rule("", "nodes/proxy", "get"), true},
		"any verb":                          {rule("", "nodes/proxy", "*"), true},
		"any resource":                      {rule("", "*", "get"), true},
		"that subresource of any resource":  {rule("", "*/proxy", "get"), true},
		"any group":                         {rule("*", "nodes/proxy", "get"), true},
		"another verb":                      {rule("", "nodes/proxy", "create"), false},
		"the resource without":              {rule("", "nodes", "get"), false},
		"another subresource":               {rule("", "nodes/metrics", "get"), false},
		"any subresource, which is no form": {rule("", "nodes/*", "get"), false},
		"another group":                     {rule("apps", "*", "get"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy := &Policy{Roles: []rbacv1.ClusterRole{role("r", test.rule)}}
			require.Equal(t, test.allow, policy.Allows("r", request))
			require.False(t, policy.Allows("other", request))
		})
	}
}

func TestTheRolesOfAUserAreThoseBoundToItsName(t *testing.T) {
	policy := &Policy{Bindings: []rbacv1.ClusterRoleBinding{
		binding("1", "view", user("a"), user("b")), binding("2", "admin", user("a")), binding("3", "view", user("a")),
		binding("4", "edit", group("a")),
	}}
	require.Equal(t, []string{"admin", "view"}, policy.RolesOf("a"))
	require.Empty(t, policy.RolesOf("c"))
	require.Equal(t, "edit", policy.Binding("4").RoleRef.Name)
	require.Nil(t, policy.Binding("5"))
}
