package proxypaths

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func refusals() []suite.Check {
	checks := []suite.Check{
		unavailable("undeclared-port", "a port that the service doesn't have is refused", named+":81",
			`no service port 81 found for service`),
		unavailable("no-endpoints", "a service that nothing is behind is refused", empty,
			`no endpoints available for service`),
	}
	for _, kind := range []string{"nodes", "pods", "services"} {
		checks = append(checks, forbidden(kind))
	}
	return checks
}

func unavailable(id, sentence, name, refusal string) suite.Check {
	return suite.Check{
		ID: area + id, Sentence: sentence, Answers: []string{"A9", "A12"}, Refusal: refusal,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return reaches(ctx, s, e, path(s, "services", named+":80", "hostname"), server)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request, err := probe.API(s.Admin, path(s, "services", name, "hostname"))
			if err != nil {
				return err
			}
			_, err = probe.Expect(ctx, e, request, http.StatusServiceUnavailable, refusal)
			return err
		},
	}
}

// forbidden asks as somebody who may do nothing, and as somebody who may use the proxy and nothing else.
func forbidden(kind string) suite.Check {
	resource := kind + "/proxy"
	ask := func(ctx context.Context, s *suite.Subject, rules ...rbacv1.PolicyRule) (probe.Request, error) {
		account, err := s.NewAccount(ctx, rules...)
		if err != nil {
			return probe.Request{}, err
		}
		target := map[string]string{
			"nodes":    "/api/v1/nodes/" + s.LastNode().Name + "/proxy/healthz",
			"pods":     path(s, "pods", server, "hostname"),
			"services": path(s, "services", plain, "hostname"),
		}[kind]
		return probe.API(s.WithToken(account.Token), target)
	}
	refusal := fmt.Sprintf("cannot get resource \\\"%s\\\"", resource)
	return suite.Check{
		ID: area + kind + "-forbidden", Sentence: fmt.Sprintf("who may not get %s is refused", resource),
		Answers: []string{"N3", "A7"}, Refusal: refusal,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request, err := ask(ctx, s, suite.Reads(resource))
			if err != nil {
				return err
			}
			_, err = probe.Await(ctx, e, request, "")
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request, err := ask(ctx, s)
			if err != nil {
				return err
			}
			_, err = probe.Expect(ctx, e, request, http.StatusForbidden, refusal)
			return err
		},
	}
}

// unverified shows that the proxy believes a certificate that no client would. No setting makes it do otherwise (Kubernetes
// v1.37.1, pkg/controlplane/apiserver/config.go, CreateConfig: ProxyTransport).
func unverified() suite.Check {
	const refusal = "tls: failed to verify certificate: x509: "
	return suite.Check{
		ID: area + "https-unverified",
		Sentence: "over https: the proxy believes a certificate that is for another name, has expired and is of a CA nobody knows; a client that " +
			"verifies refuses it",
		Answers: []string{"C8"}, Refusal: refusal,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return reaches(ctx, s, e, path(s, "pods", fmt.Sprintf("https:%s:%d", server, tlsPort), "hostname"), server)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request := probe.Request{
				URL:  "https://" + net.JoinHostPort(server, fmt.Sprint(tlsPort)) + "/hostname",
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.DialPod(ctx, server, tlsPort) },
			}
			answer, err := probe.Do(ctx, e, request) // which takes any server for the right one
			if err != nil {
				return err
			}
			if err := wrongInEveryWay(answer.Certificate, server, time.Now()); err != nil {
				return err
			}
			e.Unsafe("the apiserver's proxy accepted this server as %s: %s", server, probe.Describe(answer.Certificate))
			request.TLS = &tls.Config{}
			_, err = probe.Do(ctx, e, request)
			return probe.Refused(err, refusal)
		},
	}
}

// wrongInEveryWay demands of a certificate that its name, its issuer and its time are each a reason to refuse it.
func wrongInEveryWay(certificate *x509.Certificate, name string, now time.Time) error {
	if certificate.VerifyHostname(name) == nil {
		return fmt.Errorf("the server's certificate is for %s, so that it isn't seen whether names are verified", name)
	}
	if !now.After(certificate.NotAfter) {
		return errors.New("the server's certificate hasn't expired, so that it isn't seen whether times are verified")
	}
	_, err := certificate.Verify(x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: certificate.NotAfter})
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		return fmt.Errorf("the server's certificate isn't of a CA that is unknown, so that it isn't seen whether that is verified: %w", err)
	}
	return nil
}
