package controlplane

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func joins() []suite.Check { return []suite.Check{bootstrap(), joinersRights(), othersCertificates()} }

// joined has a new joiner become a node, of which nothing but its certificate is there.
func joined(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	j, err := newJoiner(ctx, s, e)
	if err != nil {
		return err
	}
	if err := is(ctx, e, s.WithToken(j.token), j.user(), joiners); err != nil {
		return err
	}
	node := s.Meta("joins").Name
	config, err := j.join(ctx, s, e, node)
	if err != nil {
		return err
	}
	return is(ctx, e, config, pki.NodeUser(node), pki.NodeGroup)
}

func bootstrap() suite.Check {
	return suite.Check{
		ID:       area + "bootstrap-certificate",
		Sentence: "a machine that has a bootstrap token is given a client certificate by which it is a node, and nobody need approve that",
		Answers:  []string{"N4"},
		Limit:    limit,
		Try:      joined,
	}
}

// denied is what a joiner is refused, and how it is answered who may do it.
type denied struct {
	verb, group, resource string
	method, path          string
	status                int
}

const nothing = "kubecomm-conformance-nothing"

// allDenied asks for what isn't there where the answer might be a secret, or change something.
func allDenied(s *suite.Subject) []denied {
	certificates := "/apis/" + certificatesv1.GroupName + "/v1/certificatesigningrequests/"
	return []denied{
		{"get", "", "secrets", http.MethodGet, "/api/v1/namespaces/kube-system/secrets/" + nothing, http.StatusNotFound},
		{"list", "", "nodes", http.MethodGet, "/api/v1/nodes?limit=1", http.StatusOK},
		{"get", "", "nodes/proxy", http.MethodGet, "/api/v1/nodes/" + s.LastNode().Name + "/proxy/healthz", http.StatusOK},
		{"delete", "", "pods", http.MethodDelete, "/api/v1/namespaces/kube-system/pods/" + nothing, http.StatusNotFound},
		{"update", certificatesv1.GroupName, "certificatesigningrequests/approval", http.MethodPut, certificates + nothing + "/approval",
			http.StatusNotFound},
	}
}

func (d denied) rule() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{d.group}, Resources: []string{d.resource}, Verbs: []string{d.verb}}
}

func (d denied) ask(ctx context.Context, s *suite.Subject, e *suite.Evidence, token string, status int, part string) error {
	request, err := probe.API(s.WithToken(token), d.path)
	if err != nil {
		return err
	}
	request.Method = d.method
	if d.method == http.MethodPut {
		request.Header = http.Header{"Content-Type": {"application/json"}}
		request.Body = fmt.Sprintf(`{"kind":"CertificateSigningRequest","apiVersion":"certificates.k8s.io/v1","metadata":{"name":%q}}`, nothing)
	}
	_, err = probe.Expect(ctx, e, request, status, part)
	return err
}

func joinersRights() suite.Check {
	return suite.Check{
		ID: area + "bootstrap-token-only-joins",
		Sentence: "who has a bootstrap token may ask for certificates, and neither approve them nor read secrets, list nodes, " +
			"reach kubelets or delete pods",
		Answers: []string{"N3", "N4"},
		Limit:   limit,
		Refusal: "403 Forbidden of system:bootstrap:ID",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			var rules []rbacv1.PolicyRule
			for _, d := range allDenied(s) {
				rules = append(rules, d.rule())
			}
			account, err := s.NewAccount(ctx, rules...)
			if err != nil {
				return err
			}
			return wait.Until(ctx, "the account's rights to be known", wait.Options{Limit: knownLimit}, func(ctx context.Context) error {
				var problems []error
				for _, d := range allDenied(s) {
					problems = append(problems, d.ask(ctx, s, e, account.Token, d.status, ""))
				}
				return errors.Join(problems...)
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			j, err := newJoiner(ctx, s, e)
			if err != nil {
				return err
			}
			for _, d := range allDenied(s) {
				refusal := fmt.Sprintf(`User \"%s\" cannot %s resource \"%s\"`, j.user(), d.verb, d.resource)
				if err := d.ask(ctx, s, e, j.token, http.StatusForbidden, refusal); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func othersCertificates() suite.Check {
	const masters = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
	return suite.Check{
		ID: area + "bootstrap-certificate-only-of-nodes",
		Sentence: "who has a bootstrap token is given no other certificate: a request for an administrator's is refused, and others wait " +
			"for somebody to approve them",
		Answers: []string{"N3", "N4"},
		Limit:   limit,
		Refusal: masters,
		Control: joined,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			j, err := newJoiner(ctx, s, e)
			if err != nil {
				return err
			}
			administrator := pkix.Name{CommonName: "kubecomm-conformance", Organization: []string{"system:masters"}}
			_, _, err = j.ask(ctx, s, e, demand{certificatesv1.KubeAPIServerClientSignerName, administrator, certificatesv1.UsageClientAuth})
			if err := probe.Refused(err, masters); err != nil {
				return err
			}
			return j.waitsInVain(ctx, s, e)
		},
	}
}

// waitsInVain asks for what nobody approves by itself, and then for what is approved: when that is signed, the rest was passed over.
func (j joiner) waitsInVain(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	node := s.Meta("waits").Name
	serving, user, manager := nodeClient(node), nodeClient(node), nodeClient(node)
	serving.signer, serving.usage = certificatesv1.KubeletServingSignerName, certificatesv1.UsageServerAuth
	user.signer = certificatesv1.KubeAPIServerClientSignerName
	manager.subject = pkix.Name{CommonName: "system:kube-controller-manager"}
	var names []string
	for _, d := range []demand{serving, user, manager} {
		name, _, err := j.ask(ctx, s, e, d)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	if _, err := j.join(ctx, s, e, node); err != nil {
		return err
	}
	for _, name := range names {
		found, err := s.Client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(found.Status.Certificate) > 0 || len(found.Status.Conditions) > 0 {
			return fmt.Errorf("%s, by %s, isn't left to wait: its conditions are %v", name, found.Spec.SignerName, found.Status.Conditions)
		}
		e.Note("%s, by %s, still waits: neither approved nor signed", name, found.Spec.SignerName)
	}
	return nil
}
