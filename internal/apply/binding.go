package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
)

// observePolicy returns nil if the API doesn't tell, which is no reason not to look at the rest.
func observePolicy(ctx context.Context, client apiClient) *access.Policy {
	roles, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	bindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	return &access.Policy{Roles: roles.Items, Bindings: bindings.Items}
}

// bindWork gives the declared identity its rights at kubelets.
type bindWork struct {
	job
	previous []rbacv1.ClusterRoleBinding // what was there under the names that it writes
	begun    bool
}

func (w *bindWork) phases() []phase { return []phase{{"bind the ClusterRole", w.bind}} }

func (w *bindWork) bind(ctx context.Context) error {
	return w.withBindings(ctx, func(client bindings) (err error) {
		id := declaredIdentity(w.options.Settings)
		if w.previous, err = client.existing(ctx, id.binding); err != nil {
			return err
		}
		next := newBinding(id.binding, *id)
		if len(w.previous) == 0 {
			w.begun = true
			return client.create(ctx, next)
		}
		current := w.previous[0].DeepCopy()
		if current.RoleRef != next.RoleRef && !oursByLabel(current) {
			return fmt.Errorf("ClusterRoleBinding %s binds %s %s, not ClusterRole %s, and isn't kubecomm's: delete it",
				current.Name, current.RoleRef.Kind, current.RoleRef.Name, id.role)
		}
		w.begun = true
		if current.RoleRef == next.RoleRef {
			current.Subjects = append(current.Subjects, next.Subjects...)
			return client.update(ctx, current)
		}
		return client.exchange(ctx, next, *id)
	})
}

func (w *bindWork) undo(ctx context.Context) error {
	if !w.begun {
		return nil
	}
	id := declaredIdentity(w.options.Settings)
	if len(w.previous) == 0 {
		if err := w.waitConnections(ctx, notedConnections); err != nil {
			return err
		}
	}
	return w.withBindings(ctx, func(client bindings) error {
		if err := client.remove(ctx, id.binding); err != nil {
			return err
		}
		return client.putBack(ctx, w.previous)
	})
}

// unbindWork takes back what kubecomm bound and is no longer declared.
type unbindWork struct {
	job
	previous []rbacv1.ClusterRoleBinding
}

func (w *unbindWork) phases() []phase {
	return []phase{
		{"wait for connections of the former identity to end", w.drain},
		{"remove the binding", w.unbind},
	}
}

func (w *unbindWork) drain(ctx context.Context) error { return w.waitConnections(ctx, oldConnections) }

func (w *unbindWork) unbind(ctx context.Context) error {
	return w.withBindings(ctx, func(client bindings) error {
		found, err := client.existing(ctx, kubeadmClientBinding, customClient, exchangeBinding)
		if err != nil {
			return err
		}
		needed, err := w.neededNow(ctx)
		if err != nil {
			return err
		}
		for _, binding := range found {
			if slices.Contains(needed, binding.Name) || !oursByLabel(&binding) {
				continue
			}
			w.previous = append(w.previous, binding)
			if err := client.remove(ctx, binding.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// neededNow looks at what the apiservers show kubelets by now.
func (w *unbindWork) neededNow(ctx context.Context) ([]string, error) {
	var certificates []*x509.Certificate
	for _, node := range w.target.controlPlanes() {
		flags, err := realInstance(ctx, node).listenerFlags(ctx)
		if err != nil {
			return nil, err
		}
		client, err := observeClient(ctx, node, flags, w.options.Now())
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, client.Certificate)
	}
	return neededBindings(certificates), nil
}

func (w *unbindWork) undo(ctx context.Context) error {
	return w.withBindings(ctx, func(client bindings) error { return client.putBack(ctx, w.previous) })
}

// bindings are the API's ClusterRoleBindings.
type bindings struct{ apiClient }

func (j job) withBindings(ctx context.Context, do func(bindings) error) error {
	return withAPI(ctx, j.target, j.node, func(client apiClient) error { return do(bindings{client}) })
}

// exchangeBinding stands in while a binding is exchanged, whose role can't be changed: without any, kubelets would refuse
// the apiserver, and remember that for half a minute.
const exchangeBinding = customClient + ":exchange"

func (b bindings) exchange(ctx context.Context, next *rbacv1.ClusterRoleBinding, id identity) error {
	if err := b.create(ctx, newBinding(exchangeBinding, id)); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := b.remove(ctx, next.Name); err != nil {
		return err
	}
	if err := b.create(ctx, next); err != nil {
		return err
	}
	return b.remove(ctx, exchangeBinding)
}

func newBinding(name string, id identity) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{managedLabel: managedBy}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: id.role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: id.user}},
	}
}

// existing returns those of the bindings that there are.
func (b bindings) existing(ctx context.Context, names ...string) ([]rbacv1.ClusterRoleBinding, error) {
	var found []rbacv1.ClusterRoleBinding
	for _, name := range names {
		binding, err := b.RbacV1().ClusterRoleBindings().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading ClusterRoleBinding %s: %w", name, err)
		}
		found = append(found, *binding)
	}
	return found, nil
}

func (b bindings) create(ctx context.Context, binding *rbacv1.ClusterRoleBinding) error {
	if _, err := b.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating ClusterRoleBinding %s: %w", binding.Name, err)
	}
	return nil
}

func (b bindings) update(ctx context.Context, binding *rbacv1.ClusterRoleBinding) error {
	if _, err := b.RbacV1().ClusterRoleBindings().Update(ctx, binding, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("changing ClusterRoleBinding %s: %w", binding.Name, err)
	}
	return nil
}

func (b bindings) remove(ctx context.Context, name string) error {
	err := b.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing ClusterRoleBinding %s: %w", name, err)
	}
	return nil
}

// putBack makes again what was removed.
func (b bindings) putBack(ctx context.Context, removed []rbacv1.ClusterRoleBinding) error {
	var problems error
	for _, binding := range removed {
		binding.ObjectMeta = metav1.ObjectMeta{Name: binding.Name, Labels: binding.Labels, Annotations: binding.Annotations}
		if err := b.create(ctx, &binding); err != nil && !apierrors.IsAlreadyExists(err) {
			problems = errors.Join(problems, err)
		}
	}
	return problems
}
