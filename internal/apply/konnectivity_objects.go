package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

func sameAccount(is, want *corev1.ServiceAccount) bool {
	return oursByLabel(is) && equality.Semantic.DeepEqual(is.AutomountServiceAccountToken, want.AutomountServiceAccountToken)
}

func sameBinding(is, want *rbacv1.ClusterRoleBinding) bool {
	return is.RoleRef == want.RoleRef && slices.Equal(is.Subjects, want.Subjects)
}

func sameRole(is, want *rbacv1.Role) bool { return equality.Semantic.DeepEqual(is.Rules, want.Rules) }

func sameRoleBinding(is, want *rbacv1.RoleBinding) bool {
	return is.RoleRef == want.RoleRef && slices.Equal(is.Subjects, want.Subjects)
}

func sameConfigMap(is, want *corev1.ConfigMap) bool { return maps.Equal(is.Data, want.Data) }

func sameService(is, want *corev1.Service) bool {
	return len(is.Spec.Ports) == len(want.Spec.Ports) && equality.Semantic.DeepDerivative(want.Spec, is.Spec)
}

// sameDaemonSet leaves alone what the API fills in.
func sameDaemonSet(is, want *appsv1.DaemonSet) bool {
	pod, wanted := is.Spec.Template.Spec, want.Spec.Template.Spec
	if is.DeletionTimestamp != nil || len(pod.Containers) != len(wanted.Containers) || len(pod.InitContainers) > 0 {
		return false
	}
	for i := range wanted.Containers {
		if !slices.Equal(pod.Containers[i].Args, wanted.Containers[i].Args) || len(pod.Containers[i].Command) > 0 {
			return false
		}
	}
	return equality.Semantic.DeepDerivative(want.Spec, is.Spec)
}

// differentObject says what isn't as it should be; empty if all is.
func differentObject(found, want konnectivity.Cluster) string {
	problem := func(what string, there, same bool) string {
		switch {
		case !there:
			return "there is no " + what
		case !same:
			return what + " is another than what it should be"
		}
		return ""
	}
	problems := []string{
		problem("ServiceAccount "+want.Account.Name, found.Account != nil,
			found.Account != nil && sameAccount(found.Account, want.Account)),
		problem("ClusterRoleBinding "+want.Binding.Name, found.Binding != nil,
			found.Binding != nil && sameBinding(found.Binding, want.Binding)),
		problem("ConfigMap "+want.CAs.Name, found.CAs != nil, found.CAs != nil && sameConfigMap(found.CAs, want.CAs)),
		problem("Service "+want.Service.Name, found.Service != nil,
			found.Service != nil && sameService(found.Service, want.Service)),
	}
	problems = append(problems, differentNamed("DaemonSet", found.DaemonSets, want.DaemonSets, sameDaemonSet),
		differentNamed("Role", found.Roles, want.Roles, sameRole),
		differentNamed("RoleBinding", found.RoleBindings, want.RoleBindings, sameRoleBinding))
	for _, text := range problems {
		if text != "" {
			return text
		}
	}
	return ""
}

// differentNamed says which of several objects isn't as it should be, or there without being wanted; empty if all are.
func differentNamed[T any, P interface {
	*T
	metav1.Object
}](kind string, found, want []P, same func(is, want P) bool) string {
	named := func(all []P, name string) P {
		for _, object := range all {
			if object != nil && object.GetName() == name {
				return object
			}
		}
		return nil
	}
	for _, object := range want {
		is := named(found, object.GetName())
		switch {
		case is == nil:
			return fmt.Sprintf("there is no %s %s", kind, object.GetName())
		case !same(is, object):
			return fmt.Sprintf("%s %s is another than what it should be", kind, object.GetName())
		}
	}
	for _, object := range found {
		if object != nil && named(want, object.GetName()) == nil {
			return fmt.Sprintf("%s %s isn't needed", kind, object.GetName())
		}
	}
	return ""
}

// konnectivityObjects are what a tunnel has in the API, in the order in which it is made.
func konnectivityObjects(want konnectivity.Cluster) []ownObject {
	objects := []ownObject{
		own("ServiceAccount", want.Account, func(a *corev1.ServiceAccount) *metav1.ObjectMeta { return &a.ObjectMeta }, sameAccount,
			func(c apiClient) objectClient[corev1.ServiceAccount] {
				return c.CoreV1().ServiceAccounts(want.Account.Namespace)
			}),
		own("ClusterRoleBinding", want.Binding, func(b *rbacv1.ClusterRoleBinding) *metav1.ObjectMeta { return &b.ObjectMeta },
			sameBinding, func(c apiClient) objectClient[rbacv1.ClusterRoleBinding] { return c.RbacV1().ClusterRoleBindings() }),
		own("ConfigMap", want.CAs, func(m *corev1.ConfigMap) *metav1.ObjectMeta { return &m.ObjectMeta }, sameConfigMap,
			func(c apiClient) objectClient[corev1.ConfigMap] { return c.CoreV1().ConfigMaps(want.CAs.Namespace) }),
		own("Service", want.Service, func(s *corev1.Service) *metav1.ObjectMeta { return &s.ObjectMeta }, sameService,
			func(c apiClient) objectClient[corev1.Service] { return c.CoreV1().Services(want.Service.Namespace) }),
	}
	objects = append(objects, leaseObjects(want)...)
	for _, set := range want.DaemonSets {
		objects = append(objects, ownDaemonSet(set))
	}
	return objects
}

// leaseObjects are those of them that leases take.
func leaseObjects(want konnectivity.Cluster) []ownObject {
	var objects []ownObject
	for _, role := range want.Roles {
		objects = append(objects, own("Role", role, func(r *rbacv1.Role) *metav1.ObjectMeta { return &r.ObjectMeta }, sameRole,
			func(c apiClient) objectClient[rbacv1.Role] { return c.RbacV1().Roles(role.Namespace) }))
	}
	for _, binding := range want.RoleBindings {
		objects = append(objects, own("RoleBinding", binding, func(b *rbacv1.RoleBinding) *metav1.ObjectMeta { return &b.ObjectMeta },
			sameRoleBinding, func(c apiClient) objectClient[rbacv1.RoleBinding] { return c.RbacV1().RoleBindings(binding.Namespace) }))
	}
	return objects
}

// allKonnectivityObjects are those that any declaration may make.
func allKonnectivityObjects() konnectivity.Cluster {
	return konnectivity.Objects(konnectivity.Options{ServerCount: konnectivity.Leases}, nil, 0)
}

// ownDaemonSet is one that is changed where it is, unlike other objects: to make it anew would end all of its pods at once,
// and with them what goes through the tunnel.
func ownDaemonSet(want *appsv1.DaemonSet) ownObject {
	meta := func(set *appsv1.DaemonSet) *metav1.ObjectMeta { return &set.ObjectMeta }
	object := own("DaemonSet", want, meta, sameDaemonSet, func(c apiClient) objectClient[appsv1.DaemonSet] {
		return c.AppsV1().DaemonSets(want.Namespace)
	})
	anew := object.put
	object.put = func(ctx context.Context, c apiClient) (change, error) {
		sets := c.AppsV1().DaemonSets(want.Namespace)
		is, err := orNone(sets.Get(ctx, want.Name, metav1.GetOptions{}))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", object.what, err)
		}
		if is == nil || is.DeletionTimestamp != nil || !equality.Semantic.DeepEqual(is.Spec.Selector, want.Spec.Selector) {
			return anew(ctx, c)
		}
		if sameDaemonSet(is, want) {
			return nil, nil
		}
		give := func(ctx context.Context, c apiClient, spec appsv1.DaemonSetSpec) error {
			current, err := c.AppsV1().DaemonSets(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
			if err == nil {
				current.Spec = spec
				_, err = c.AppsV1().DaemonSets(want.Namespace).Update(ctx, current, metav1.UpdateOptions{})
			}
			if err != nil {
				return fmt.Errorf("changing %s: %w", object.what, err)
			}
			return nil
		}
		previous := *is.Spec.DeepCopy()
		back := func(ctx context.Context, c apiClient) error { return give(ctx, c, previous) }
		return back, give(ctx, c, want.Spec)
	}
	return object
}
