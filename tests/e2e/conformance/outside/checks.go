// Package outside checks how a cluster is reached from outside of it: by a kubeconfig, by REST with a token, through kubectl's
// proxy, and what runs in it by ports of nodes, the apiserver's proxy and a browser.
package outside

import (
	"context"
	"crypto/tls"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	area    = "outside/"
	version = "/version"

	unknownAuthority = "x509: certificate signed by unknown authority"
)

// Checks lists what is checked.
func Checks() []suite.Check {
	b := newBeds()
	return []suite.Check{
		kubeconfig(), wrongRoot(),
		bearer(), noToken(), wrongToken(), impostor(),
		proxyAnswers(), proxyHost(), proxyVerifies(),
		clusterInfo(),
		b.nodePort(), b.proxyVerb(), b.clusterIP(), b.byName(), b.browser(),
	}
}

// verified is a request to the apiserver by a client that demands to know whom it asks, or an error for a check to be skipped by.
func verified(config *rest.Config, path string) (probe.Request, error) {
	if config.Insecure {
		return probe.Request{}, suite.Skip("the kubeconfig says that the apiserver's certificate isn't to be verified")
	}
	request, err := probe.API(config, path)
	if request.TLS == nil {
		request.TLS = &tls.Config{} // with the roots of this machine
	}
	return request, err
}

// distrusting is a client with the root certificate of a CA that signed nothing.
func distrusting(config *rest.Config) (*rest.Config, error) {
	stranger, err := pki.NewCA("stranger", time.Now())
	if err != nil {
		return nil, err
	}
	other := rest.CopyConfig(config)
	other.CAFile, other.CAData = "", pki.EncodeBundle(stranger.Certificate)
	return other, nil
}

// pods is what only somebody who is known may read.
func pods(s *suite.Subject) string { return "/api/v1/namespaces/" + s.Namespace + "/pods?limit=1" }

// newReader is an account that may list pods.
func newReader(ctx context.Context, s *suite.Subject) (suite.Account, error) {
	return s.NewAccount(ctx, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}})
}
