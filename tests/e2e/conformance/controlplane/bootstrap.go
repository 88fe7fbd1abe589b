package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// What kubeadm has nodes join by (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go).
const (
	joiners   = "system:bootstrappers:kubeadm:default-node-token"
	mayAsk    = "system:node-bootstrapper"
	isGranted = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
)

// joiner is a machine that has a bootstrap token of its own, and nothing else.
type joiner struct {
	id    string
	token string
}

func (j joiner) user() string { return "system:bootstrap:" + j.id }

// newJoiner makes a token as `kubeadm token create` does, that ends by itself if it isn't removed.
func newJoiner(ctx context.Context, s *suite.Subject, e *suite.Evidence) (joiner, error) {
	if err := joinable(ctx, s); err != nil {
		return joiner{}, err
	}
	id, secret := strings.ToLower(rand.Text()[:6]), strings.ToLower(rand.Text()[:16])
	_, err := s.Client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id, Labels: s.Labels()},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", "auth-extra-groups": joiners,
			"expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return joiner{}, err
	}
	j := joiner{id, id + "." + secret}
	return j, j.awaitKnown(ctx, s, e)
}

// awaitKnown waits until apiservers take the token, each of which knows tokens by a watch of its own.
func (j joiner) awaitKnown(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	request, err := probe.API(s.WithToken(j.token), "/api")
	if err != nil {
		return err
	}
	requests := []probe.Request{request}
	// Where there are several, it isn't known which of them a client of the API asks.
	if nodes, err := s.ControlPlanes(); err == nil && len(nodes) > 1 {
		all, err := apiserver().instances(ctx, s)
		if err != nil {
			return err
		}
		for _, each := range all {
			requests = append(requests, each.request(s, "/api", j.token))
		}
	}
	for _, request := range requests {
		if _, err := probe.Await(ctx, e, request, "APIVersions"); err != nil {
			return err
		}
	}
	return nil
}

// joinable is for checks to be skipped by where nodes don't join as kubeadm has them do.
func joinable(ctx context.Context, s *suite.Subject) error {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		flags, err := s.Flags(ctx, node, settings.APIServer)
		if err != nil {
			return err
		}
		if on, _ := flags.Get("enable-bootstrap-token-auth"); on != "true" {
			return suite.Skip("the apiserver of node %s takes no bootstrap tokens", node.Name)
		}
	}
	found, err := s.Client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, role := range []string{mayAsk, isGranted} {
		if !slices.ContainsFunc(found.Items, func(b rbacv1.ClusterRoleBinding) bool { return binds(b, role) }) {
			return suite.Skip("no ClusterRoleBinding gives %s to %s, as kubeadm's do: nodes join by other means", role, joiners)
		}
	}
	return nil
}

func binds(binding rbacv1.ClusterRoleBinding, role string) bool {
	return binding.RoleRef.Name == role && slices.ContainsFunc(binding.Subjects, func(subject rbacv1.Subject) bool {
		return subject.Kind == rbacv1.GroupKind && subject.Name == joiners
	})
}

// demand is a certificate that a joiner asks for.
type demand struct {
	signer  string
	subject pkix.Name
	usage   certificatesv1.KeyUsage
}

func (d demand) String() string {
	return fmt.Sprintf("a certificate of %s, by %s", d.subject, d.signer)
}

// nodeClient is what kubelets ask for that join.
func nodeClient(node string) demand {
	subject := pkix.Name{CommonName: pki.NodeUser(node), Organization: []string{pki.NodeGroup}}
	return demand{certificatesv1.KubeAPIServerClientKubeletSignerName, subject, certificatesv1.UsageClientAuth}
}

// shortest is the least time, in seconds, that a certificate can be asked for.
const shortest = 600

// ask makes a request in the joiner's name. It returns its name and the key, in PEM.
func (j joiner) ask(ctx context.Context, s *suite.Subject, e *suite.Evidence, d demand) (name string, key []byte, err error) {
	if key, err = keyutil.MakeEllipticPrivateKeyPEM(); err != nil {
		return "", nil, err
	}
	signer, err := keyutil.ParsePrivateKeyPEM(key)
	if err != nil {
		return "", nil, err
	}
	request, err := cert.MakeCSR(signer, &d.subject, nil, nil)
	if err != nil {
		return "", nil, err
	}
	client, err := kubernetes.NewForConfig(s.WithToken(j.token))
	if err != nil {
		return "", nil, err
	}
	made, err := client.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kubecomm-conformance-", Labels: s.Labels()},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: request, SignerName: d.signer, ExpirationSeconds: new(int32(shortest)),
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, d.usage},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Note("%s asks for %s: %v", j.user(), d, err)
		return "", nil, err
	}
	e.Note("%s asks for %s, as %s", j.user(), d, made.Name)
	return made.Name, key, nil
}

// signLimit is how long the controller manager may take to approve and sign.
const signLimit = 30 * time.Second

// join has the joiner ask for a node's client certificate and wait for it. What it returns is a client with it.
func (j joiner) join(ctx context.Context, s *suite.Subject, e *suite.Evidence, node string) (*rest.Config, error) {
	name, key, err := j.ask(ctx, s, e, nodeClient(node))
	if err != nil {
		return nil, err
	}
	config, err := direct(ctx, s)
	if err != nil {
		return nil, err
	}
	config.KeyData = key
	err = wait.Until(ctx, name+" to be signed", wait.Options{Limit: signLimit}, func(ctx context.Context) error {
		found, err := s.Client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		config.CertData = found.Status.Certificate
		if len(config.CertData) == 0 {
			return fmt.Errorf("its conditions are %v", found.Status.Conditions)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	certificates, err := certificatesIn(config.CertData)
	if err == nil {
		e.Note("%s was approved and signed: %s", name, probe.Describe(certificates[0]))
	}
	return config, err
}

// direct is a client of an apiserver itself: what may be before it, such as a load balancer, needn't pass clients' certificates on. It
// isn't asked at a name that its certificate is for.
func direct(ctx context.Context, s *suite.Subject) (*rest.Config, error) {
	all, err := apiserver().instances(ctx, s)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", all[0].port), Dial: s.OnNode(all[0].node, all[0].port),
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, WarningHandler: rest.NoWarnings{},
	}, nil
}

// is demands that the API takes a client for a user in a group.
func is(ctx context.Context, e *suite.Evidence, config *rest.Config, user, group string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	answer, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	found := answer.Status.UserInfo
	e.Note("the API takes the client for %s, in %s", found.Username, strings.Join(found.Groups, ", "))
	if found.Username != user || !slices.Contains(found.Groups, group) {
		return fmt.Errorf("the API takes the client for %s in %q, not for %s in %s", found.Username, found.Groups, user, group)
	}
	return nil
}
