package konnectivity

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaseName is the name of a server's lease (apiserver-network-proxy v0.36.0, cmd/server/app/server.go). Its namespace and its
// label are servers' defaults, because agents before v0.34.0 can't be told of others (v0.31.2, cmd/agent/app/server.go).
func LeaseName(node string) string { return "konnectivity-proxy-server-" + node }

// leaseAccess has servers keep their leases, and remove those that have expired, which they know by name; and has agents count
// them. Which lease is created, or listed, RBAC can't say.
func leaseAccess(options Options, servers []Server) ([]*rbacv1.Role, []*rbacv1.RoleBinding) {
	if options.ServerCount != Leases {
		return nil, nil
	}
	var names []string
	for _, server := range servers {
		names = append(names, LeaseName(server.Node))
	}
	rule := func(names []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{
			APIGroups: []string{coordinationv1.GroupName}, Resources: []string{"leases"}, ResourceNames: names, Verbs: verbs,
		}
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: Namespace, Labels: labels(name)}
	}
	bind := func(name string, subject rbacv1.Subject) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{
			ObjectMeta: meta(name), Subjects: []rbacv1.Subject{subject},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		}
	}
	return []*rbacv1.Role{
			{ObjectMeta: meta(ServerName), Rules: []rbacv1.PolicyRule{
				rule(nil, "create", "list"), rule(names, "get", "update", "delete"),
			}},
			{ObjectMeta: meta(AgentAccount), Rules: []rbacv1.PolicyRule{rule(nil, "list", "watch")}},
		}, []*rbacv1.RoleBinding{
			bind(ServerName, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: ServerUser}),
			bind(AgentAccount, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: Namespace, Name: AgentAccount}),
		}
}
