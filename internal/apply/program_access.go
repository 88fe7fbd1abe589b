package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// objectClient is client-go's typed client of one kind of object.
type objectClient[T any] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (*T, error)
	Create(ctx context.Context, object *T, options metav1.CreateOptions) (*T, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

// change does something with an object of the API, and changing one returns what goes back; nil where nothing was changed.
type (
	change   func(context.Context, apiClient) error
	changing func(context.Context, apiClient) (back change, err error)
)

// ownObject is an object of the API that is kubecomm's alone: whatever else has its name is replaced.
type ownObject struct {
	what string
	// state returns whether it is there, and whether it is as it should be.
	state  func(context.Context, apiClient) (there, right bool, err error)
	put    changing // makes it what it should be
	remove changing
}

// own makes one of a typed object.
func own[T any](
	what string, want *T, meta func(*T) *metav1.ObjectMeta, same func(is, want *T) bool, client func(apiClient) objectClient[T],
) ownObject {
	name := meta(want).Name
	get := func(ctx context.Context, c apiClient) (*T, error) {
		is, err := client(c).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", what, name, err)
		}
		return is, nil
	}
	remove := func(ctx context.Context, c apiClient) error {
		if err := ignoreNotFound(client(c).Delete(ctx, name, metav1.DeleteOptions{})); err != nil {
			return fmt.Errorf("removing %s %s: %w", what, name, err)
		}
		return nil
	}
	// What is already there is never changed: of some objects the parts that matter can't be.
	create := func(ctx context.Context, c apiClient, object *T) error {
		if err := remove(ctx, c); err != nil {
			return err
		}
		if _, err := client(c).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating %s %s: %w", what, name, err)
		}
		return nil
	}
	backTo := func(previous *T) change {
		if previous == nil {
			return remove
		}
		was := meta(previous)
		*was = metav1.ObjectMeta{Name: was.Name, Namespace: was.Namespace, Labels: was.Labels, Annotations: was.Annotations}
		return func(ctx context.Context, c apiClient) error { return create(ctx, c, previous) }
	}
	return ownObject{
		what: what + " " + name,
		state: func(ctx context.Context, c apiClient) (bool, bool, error) {
			is, err := get(ctx, c)
			return is != nil, is != nil && same(is, want), err
		},
		put: func(ctx context.Context, c apiClient) (change, error) {
			is, err := get(ctx, c)
			if err != nil || is != nil && same(is, want) {
				return nil, err
			}
			return backTo(is), create(ctx, c, want)
		},
		remove: func(ctx context.Context, c apiClient) (change, error) {
			is, err := get(ctx, c)
			if err != nil || is == nil {
				return nil, err
			}
			return backTo(is), remove(ctx, c)
		},
	}
}

// ruleIn is what is allowed in one namespace.
type ruleIn struct {
	namespace string
	rule      rbacv1.PolicyRule
}

func allow(group, resource string, names []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: verbs}
}

// accountObjects make a service account that may do what is given, and renew the token of the very account that it is, and
// nothing else.
func accountObjects(account, role string, everywhere []rbacv1.PolicyRule, in ...ruleIn) []ownObject {
	none := false
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: account}}
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{managedLabel: managedBy}}
	}
	objects := []ownObject{
		own("ServiceAccount", &corev1.ServiceAccount{
			ObjectMeta: meta(metav1.NamespaceSystem, account), AutomountServiceAccountToken: &none,
		}, func(a *corev1.ServiceAccount) *metav1.ObjectMeta { return &a.ObjectMeta },
			func(is, _ *corev1.ServiceAccount) bool { return is.Labels[managedLabel] == managedBy },
			func(c apiClient) objectClient[corev1.ServiceAccount] {
				return c.CoreV1().ServiceAccounts(metav1.NamespaceSystem)
			}),
		own("ClusterRole", &rbacv1.ClusterRole{ObjectMeta: meta("", role), Rules: everywhere},
			func(r *rbacv1.ClusterRole) *metav1.ObjectMeta { return &r.ObjectMeta },
			func(is, want *rbacv1.ClusterRole) bool {
				return is.AggregationRule == nil && equality.Semantic.DeepEqual(is.Rules, want.Rules)
			},
			func(c apiClient) objectClient[rbacv1.ClusterRole] { return c.RbacV1().ClusterRoles() }),
		own("ClusterRoleBinding", &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta("", role), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}, func(b *rbacv1.ClusterRoleBinding) *metav1.ObjectMeta { return &b.ObjectMeta }, sameBinding,
			func(c apiClient) objectClient[rbacv1.ClusterRoleBinding] { return c.RbacV1().ClusterRoleBindings() }),
	}
	for _, each := range append(in, ruleIn{
		metav1.NamespaceSystem, allow("", "serviceaccounts/token", []string{account}, "create"),
	}) {
		objects = append(objects, own("Role", &rbacv1.Role{
			ObjectMeta: meta(each.namespace, role), Rules: []rbacv1.PolicyRule{each.rule},
		}, func(r *rbacv1.Role) *metav1.ObjectMeta { return &r.ObjectMeta }, sameRole,
			func(c apiClient) objectClient[rbacv1.Role] { return c.RbacV1().Roles(each.namespace) }),
			own("RoleBinding", &rbacv1.RoleBinding{
				ObjectMeta: meta(each.namespace, role), Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
			}, func(b *rbacv1.RoleBinding) *metav1.ObjectMeta { return &b.ObjectMeta }, sameRoleBinding,
				func(c apiClient) objectClient[rbacv1.RoleBinding] { return c.RbacV1().RoleBindings(each.namespace) }))
	}
	return objects
}

// approverObjects are what lets approvers see requests, approve those of one signer, and tell of the others.
func approverObjects() []ownObject {
	return accountObjects(approver.Name, "kubecomm:kubelet-serving-approver", []rbacv1.PolicyRule{
		allow(certificatesv1.GroupName, "certificatesigningrequests", nil, "get", "list", "watch"),
		allow(certificatesv1.GroupName, "certificatesigningrequests/approval", nil, "update"),
		allow(certificatesv1.GroupName, "signers", []string{certificatesv1.KubeletServingSignerName}, "approve"),
	}, ruleIn{metav1.NamespaceDefault, allow("events.k8s.io", "events", nil, "create")})
}

// proxyObjects are what lets SSH proxies see which nodes there are.
func proxyObjects() []ownObject {
	return accountObjects(ssh.ProxyAccount, "kubecomm:ssh-proxy", []rbacv1.PolicyRule{allow("", "nodes", nil, "list", "watch")})
}

// AccountObservation is what a program of kubecomm's may do.
type AccountObservation struct {
	Known   bool   // whether the API could be asked
	Present bool   // there is anything of it
	Problem string // why it isn't what the program needs, and nothing else; empty if it is
}

// observeAccount leaves it open if the API doesn't tell, which is no reason not to look at the rest.
func observeAccount(ctx context.Context, client apiClient, objects []ownObject) AccountObservation {
	found := AccountObservation{Known: true}
	for _, object := range objects {
		there, right, err := object.state(ctx, client)
		switch {
		case err != nil:
			return AccountObservation{}
		case !there && found.Problem == "":
			found.Problem = "there is no " + object.what
		case there && !right && found.Problem == "":
			found.Problem = object.what + " is another than what it should be"
		}
		found.Present = found.Present || there
	}
	return found
}

// objectsWork makes objects of the API, or removes them.
type objectsWork struct {
	job
	backs []change
}

func (w *objectsWork) each(ctx context.Context, objects []ownObject, do func(ownObject) changing) error {
	return withAPI(ctx, w.target, w.node, func(client apiClient) error {
		for _, object := range objects {
			back, err := do(object)(ctx, client)
			if back != nil {
				w.backs = append(w.backs, back)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *objectsWork) undo(ctx context.Context) error {
	if len(w.backs) == 0 {
		return nil
	}
	return withAPI(ctx, w.target, w.node, func(client apiClient) error {
		var problems error
		for _, back := range slices.Backward(w.backs) {
			problems = errors.Join(problems, back(ctx, client))
		}
		return problems
	})
}

// allowWork gives a program its rights.
type allowWork struct {
	objectsWork
	objects []ownObject
}

func (w *allowWork) phases() []phase {
	return []phase{{"create its account and its roles", func(ctx context.Context) error {
		return w.each(ctx, w.objects, func(o ownObject) changing { return o.put })
	}}}
}

// disallowWork takes them, and removes what proofs of a tunnel may have left.
type disallowWork struct {
	objectsWork
	objects []ownObject
}

func (w *disallowWork) phases() []phase {
	return []phase{{"remove its account and its roles", func(ctx context.Context) error {
		if err := w.each(ctx, w.objects, func(o ownObject) changing { return o.remove }); err != nil {
			return err
		}
		return withAPI(ctx, w.target, w.node, func(client apiClient) error { return clearProofs(ctx, client) })
	}}}
}
