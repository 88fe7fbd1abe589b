package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	joining = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
	pods    = "/api/v1/namespaces/default/pods"
	version = "/version"
	livez   = "/livez"
)

// expected is what a client without credentials is answered.
type expected struct {
	path   string
	status int
	part   string
}

// answers are what is expected where paths are declared, or else nil, split into what is let in and what is refused. Without a
// declaration clients are let in as system:anonymous, to whom RBAC lets little be read.
func answers(paths settings.Value) (let, refused []expected) {
	if paths == nil || slices.Contains(paths, "*") {
		return []expected{{livez, http.StatusOK, ""}, {version, http.StatusOK, "gitVersion"}},
			[]expected{{pods, http.StatusForbidden, "system:anonymous"}}
	}
	for _, path := range []string{livez, "/readyz", "/healthz"} {
		if slices.Contains(paths, path) {
			let = append(let, expected{path, http.StatusOK, ""})
		}
	}
	for _, path := range []string{livez, "/readyz", "/healthz", livez + "/ping", version, "/api", joining, pods} {
		if !slices.Contains(paths, path) {
			refused = append(refused, expected{path, http.StatusUnauthorized, "Unauthorized"})
		}
	}
	return let, refused
}

func apiserver() component { return components()[0] }

// asNobody expects answers of every apiserver to a client without credentials.
func asNobody(ctx context.Context, s *suite.Subject, e *suite.Evidence, all []expected) error {
	return apiserver().onEvery(ctx, s, func(i instance) error {
		for _, each := range all {
			if _, err := probe.Expect(ctx, e, i.request(s, each.path, ""), each.status, each.part); err != nil {
				return err
			}
		}
		return nil
	})
}

func anonymous() suite.Check {
	return suite.Check{
		ID:       area + "anonymous-health",
		Sentence: "a client without credentials can ask how apiservers are, as probes and load balancers do",
		Answers:  []string{"N2", "N3"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			let, _ := answers(s.Expect.Value("apiserver.anonymous_paths"))
			return asNobody(ctx, s, e, let)
		},
	}
}

func anonymousElsewhere() suite.Check {
	return suite.Check{
		ID: area + "anonymous-elsewhere",
		Sentence: "a client without credentials is refused by apiservers: authentication where paths for it are declared and this " +
			"isn't one, authorization otherwise",
		Answers: []string{"N2", "N3", "CIS 1.2.1"},
		Refusal: "401 Unauthorized where paths are declared, 403 Forbidden of system:anonymous otherwise",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			_, refused := answers(s.Expect.Value("apiserver.anonymous_paths"))
			return apiserver().onEvery(ctx, s, func(i instance) error {
				for _, each := range refused {
					request, err := asAdmin(s, i, each.path)
					if err != nil {
						return err
					}
					answer, err := probe.Do(ctx, e, request)
					// kubeadm makes the ConfigMap, and clusters without it are joined by other means.
					absent := each.path == joining && answer.Status == http.StatusNotFound
					if err == nil && answer.Status != http.StatusOK && !absent {
						err = fmt.Errorf("the administrator is answered %s", answer)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			_, refused := answers(s.Expect.Value("apiserver.anonymous_paths"))
			return asNobody(ctx, s, e, refused)
		},
	}
}

// asAdmin asks the same instance as the administrator.
func asAdmin(s *suite.Subject, i instance, path string) (probe.Request, error) {
	admin, err := probe.API(s.Admin, path)
	if err != nil {
		return admin, err
	}
	request := i.request(s, path, admin.Token)
	request.TLS = &tls.Config{InsecureSkipVerify: true} // it isn't asked at the name that its certificate is for
	if admin.TLS != nil {
		request.TLS.Certificates, request.TLS.GetClientCertificate = admin.TLS.Certificates, admin.TLS.GetClientCertificate
	}
	return request, nil
}

func unknownToken() suite.Check {
	return suite.Check{
		ID:       area + "unknown-token",
		Sentence: "apiservers refuse a token that nobody issued",
		Answers:  []string{"N2", "A3"},
		Refusal:  "Unauthorized",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			account, err := s.NewAccount(ctx)
			if err != nil {
				return err
			}
			return apiserver().onEvery(ctx, s, func(i instance) error {
				_, err := probe.Expect(ctx, e, i.request(s, version, account.Token), http.StatusOK, "gitVersion")
				return err
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			token := strings.ToLower(rand.Text())
			return apiserver().onEvery(ctx, s, func(i instance) error {
				_, err := probe.Expect(ctx, e, i.request(s, version, token), http.StatusUnauthorized, "Unauthorized")
				return err
			})
		},
	}
}
