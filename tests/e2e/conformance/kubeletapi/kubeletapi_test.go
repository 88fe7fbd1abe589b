package kubeletapi

import (
	"crypto/x509"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhoHoldsNodesProxyIsFound(t *testing.T) {
	roles := map[string]rbacv1.PolicyRule{
		"by name":         {APIGroups: []string{""}, Resources: []string{"pods", "nodes/proxy"}, Verbs: []string{"get"}},
		"by subresource":  {APIGroups: []string{""}, Resources: []string{"*/proxy"}, Verbs: []string{"create"}},
		"of everything":   {APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		"of metrics":      {APIGroups: []string{""}, Resources: []string{"nodes/metrics", "nodes"}, Verbs: []string{"get"}},
		"of other groups": {APIGroups: []string{"apps"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		"to list":         {APIGroups: []string{""}, Resources: []string{"*"}, Verbs: []string{"list", "watch"}},
	}
	account := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "monitoring", Name: "collector"}
	for name, rule := range roles {
		role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}
		binding := rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{account},
		}
		var want []string
		if name == "by name" || name == "by subresource" || name == "of everything" {
			want = []string{"service account monitoring/collector, by ClusterRoleBinding b to ClusterRole " + name}
		}
		assert.Equal(t, want, holding([]rbacv1.ClusterRole{role}, []rbacv1.ClusterRoleBinding{binding}, "kube-system"), name)
	}
}

func TestServiceAccountsHideBehindUsersAndGroups(t *testing.T) {
	tests := map[rbacv1.Subject]bool{
		{Kind: "ServiceAccount", Namespace: "kube-system", Name: "x"}:   false,
		{Kind: "ServiceAccount", Namespace: "default", Name: "x"}:       true,
		{Kind: "User", Name: "alice"}:                                   false,
		{Kind: "User", Name: "system:serviceaccount:default:x"}:         true,
		{Kind: "User", Name: "system:serviceaccount:kube-system:x"}:     false,
		{Kind: "Group", Name: "system:masters"}:                         false,
		{Kind: "Group", Name: "system:serviceaccounts"}:                 true,
		{Kind: "Group", Name: "system:serviceaccounts:default"}:         true,
		{Kind: "Group", Name: "system:serviceaccounts:kube-system"}:     false,
		{Kind: "Group", Name: "system:authenticated"}:                   true,
		{Kind: "Group", Name: "system:unauthenticated", Namespace: "x"}: true,
	}
	for subject, want := range tests {
		_, counts := accountsOf(subject, []string{"kube-system"})
		assert.Equal(t, want, counts, "%s %s", subject.Kind, subject.Name)
	}
}

func TestACertificateMustBeForEveryAddress(t *testing.T) {
	certificate := &x509.Certificate{DNSNames: []string{"worker"}, IPAddresses: []net.IP{net.ParseIP("192.0.2.1")}}
	require.NoError(t, covers(certificate, []string{"192.0.2.1"}))
	assert.ErrorContains(t, covers(certificate, []string{"192.0.2.1", "2001:db8::1"}), "is not for 2001:db8::1")
}
