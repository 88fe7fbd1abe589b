package findings

import (
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
)

// getNodeProxy is the right to run commands in every pod: a kubelet takes a WebSocket's handshake, which is a GET, for a
// get (Kubernetes v1.37.1, pkg/kubelet/server/auth.go), and has routes for GET that run commands.
var getNodeProxy = access.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}

// NodeProxy finds who may get nodes/proxy beside administrators and the apiservers, who are users of these names. A
// RoleBinding gives no rights to nodes, which are in no namespace.
func NodeProxy(policy *access.Policy, apiservers []string) []Finding {
	var found []Finding
	for _, binding := range policy.Bindings {
		if binding.RoleRef.Kind != "ClusterRole" || !policy.Allows(binding.RoleRef.Name, getNodeProxy) {
			continue
		}
		for _, subject := range binding.Subjects {
			if expected(binding, subject, apiservers) {
				continue
			}
			found = append(found, Finding{toKubelet, subjectText(subject), fmt.Sprintf(
				"may get nodes/proxy, by ClusterRole %s and ClusterRoleBinding %s, and so run commands in every pod",
				binding.RoleRef.Name, binding.Name)})
		}
	}
	return found
}

// Apiservers finds what else the users may do that apiservers are at kubelets: whoever steals such a certificate may do it
// too. Each user is to have the one role.
func Apiservers(policy *access.Policy, roles map[string]string) []Finding {
	var found []Finding
	for _, user := range slices.Sorted(maps.Keys(roles)) {
		for _, binding := range policy.Bindings {
			if access.Names(&binding, user) && binding.RoleRef.Name != roles[user] {
				found = append(found, Finding{fromApiserver, "User " + user, fmt.Sprintf(
					"may do what ClusterRole %s allows as well, by ClusterRoleBinding %s, and so may who has the apiserver's client "+
						"certificate for kubelets", binding.RoleRef.Name, binding.Name)})
			}
		}
	}
	return found
}

func expected(binding rbacv1.ClusterRoleBinding, subject rbacv1.Subject, apiservers []string) bool {
	switch subject.Kind {
	case rbacv1.GroupKind:
		return subject.Name == mastersGroup || subject.Name == clusterAdminGroup
	case rbacv1.UserKind:
		return slices.Contains(apiservers, subject.Name)
	}
	// Some of the controllers in the controller manager may read everything, such as the one that collects garbage. Each is
	// a service account of its own, with a role and a binding that have its name (Kubernetes v1.37.1,
	// plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go).
	own := "system:controller:" + subject.Name
	return subject.Namespace == controllerNamespace && binding.Name == own && binding.RoleRef.Name == own
}

func subjectText(subject rbacv1.Subject) string {
	if subject.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("ServiceAccount %s/%s", subject.Namespace, subject.Name)
	}
	return subject.Kind + " " + subject.Name
}
