package suite

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Account is a service account of the run's namespace that nobody had heard of before: what an authenticator or authorizer said
// of an older one may still be in a cache.
type Account struct {
	Name  string
	User  string // as the API names it
	Token string // good for an hour
}

// NewAccount makes a service account that may do what the rules say, in the whole cluster.
func (s *Subject) NewAccount(ctx context.Context, rules ...rbacv1.PolicyRule) (Account, error) {
	made, err := s.Client.CoreV1().ServiceAccounts(s.Namespace).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "client-"},
	}, metav1.CreateOptions{})
	if err != nil {
		return Account{}, err
	}
	if len(rules) > 0 {
		if err := s.allow(ctx, made.Name, rules); err != nil {
			return Account{}, err
		}
	}
	token, err := s.NewToken(ctx, made.Name, authenticationv1.TokenRequestSpec{})
	return Account{made.Name, "system:serviceaccount:" + s.Namespace + ":" + made.Name, token.Token}, err
}

func (s *Subject) allow(ctx context.Context, account string, rules []rbacv1.PolicyRule) error {
	meta := s.Meta(account)
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	if _, err := s.Client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := s.Client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.Namespace, Name: account}},
	}, metav1.CreateOptions{})
	return err
}

// MakeAccount makes a service account of a name, for a pod to run as, that may do what the rules say in the run's namespace.
func (s *Subject) MakeAccount(ctx context.Context, name string, rules ...rbacv1.PolicyRule) error {
	meta := metav1.ObjectMeta{Name: name}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	_, err := s.Client.CoreV1().ServiceAccounts(s.Namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil || len(rules) == 0 {
		return err
	}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: rules}
	if _, err := s.Client.RbacV1().Roles(s.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = s.Client.RbacV1().RoleBindings(s.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.Namespace, Name: name}},
	}, metav1.CreateOptions{})
	return err
}

// Reads are the rules by which an account may read resources, such as nodes/metrics.
func Reads(resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: resources, Verbs: []string{"get"}}
}

// ReadsPaths are the rules by which an account may read paths that are no resources, such as /metrics.
func ReadsPaths(paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{NonResourceURLs: paths, Verbs: []string{"get"}}
}

// NewToken asks for a token of a service account of the run's namespace.
func (s *Subject) NewToken(
	ctx context.Context, account string, spec authenticationv1.TokenRequestSpec,
) (authenticationv1.TokenRequestStatus, error) {
	answer, err := s.Client.CoreV1().ServiceAccounts(s.Namespace).
		CreateToken(ctx, account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.TokenRequestStatus{}, err
	}
	return answer.Status, nil
}

// Anonymous is a client without credentials that verifies the apiserver.
func (s *Subject) Anonymous() *rest.Config {
	config := rest.AnonymousClientConfig(s.Admin)
	config.QPS = -1
	return config
}

// WithToken is a client with no other credentials than a token.
func (s *Subject) WithToken(token string) *rest.Config {
	config := s.Anonymous()
	config.BearerToken = token
	return config
}

// As is the administrator who asks in another's name.
func (s *Subject) As(user string, groups ...string) (kubernetes.Interface, error) {
	config := rest.CopyConfig(s.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return kubernetes.NewForConfig(config)
}

// AsKubelet is the administrator who asks in the name of a node's kubelet.
func (s *Subject) AsKubelet(node Node) (kubernetes.Interface, error) {
	return s.As(pki.NodeUser(node.Name), pki.NodeGroup, "system:authenticated")
}
