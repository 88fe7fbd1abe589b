// Package access says who may do what on a cluster, by the roles and bindings of its RBAC. It is pure.
package access

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Policy is what a cluster's RBAC says cluster-wide.
type Policy struct {
	Roles    []rbacv1.ClusterRole
	Bindings []rbacv1.ClusterRoleBinding
}

// HasRole reports whether there is a ClusterRole of that name.
func (p *Policy) HasRole(name string) bool {
	return slices.ContainsFunc(p.Roles, func(role rbacv1.ClusterRole) bool { return role.Name == name })
}

// Binding returns the ClusterRoleBinding of that name; nil if there is none.
func (p *Policy) Binding(name string) *rbacv1.ClusterRoleBinding {
	i := slices.IndexFunc(p.Bindings, func(binding rbacv1.ClusterRoleBinding) bool { return binding.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Bindings[i]
}

// RolesOf lists the ClusterRoles that are bound to a user by its own name, in order.
func (p *Policy) RolesOf(user string) []string {
	roles := []string{}
	for _, binding := range p.Bindings {
		if binding.RoleRef.Kind == "ClusterRole" && Names(&binding, user) {
			roles = append(roles, binding.RoleRef.Name)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// Names reports whether a binding has that user, by its own name, among its subjects.
func Names(binding *rbacv1.ClusterRoleBinding, user string) bool {
	return slices.ContainsFunc(binding.Subjects, func(subject rbacv1.Subject) bool {
		return subject.Kind == rbacv1.UserKind && subject.Name == user
	})
}

// Request is something to be done with a resource of the core API group, whichever object it is.
type Request struct{ Verb, Resource, Subresource string }

// Allows reports whether a ClusterRole allows the request for at least one object.
func (p *Policy) Allows(role string, request Request) bool {
	i := slices.IndexFunc(p.Roles, func(r rbacv1.ClusterRole) bool { return r.Name == role })
	return i >= 0 && slices.ContainsFunc(p.Roles[i].Rules, request.allowedBy)
}

// allowedBy judges as the apiserver does (Kubernetes v1.37.1, pkg/apis/rbac/v1/evaluation_helpers.go).
func (r Request) allowedBy(rule rbacv1.PolicyRule) bool {
	has := func(list []string, names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(list, name) })
	}
	return has(rule.Verbs, rbacv1.VerbAll, r.Verb) && has(rule.APIGroups, rbacv1.APIGroupAll, "") &&
		has(rule.Resources, rbacv1.ResourceAll, r.Resource+"/"+r.Subresource, "*/"+r.Subresource)
}
