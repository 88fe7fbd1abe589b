package outside

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// standIn is a subject whose apiserver knows one answer, and tells clients with credentials apart from others.
func standIn(t *testing.T) *suite.Subject {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer right" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"kind":"PodList","gitVersion":"v1.37.1"}`))
	}))
	t.Cleanup(server.Close)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &suite.Subject{Namespace: "run", Admin: &rest.Config{
		Host: server.URL, BearerToken: "right", TLSClientConfig: rest.TLSClientConfig{CAData: root},
	}}
}

func TestChecksThatNeedNoMoreThanAnAPIServerPassWhereItIsRight(t *testing.T) {
	for _, check := range []suite.Check{wrongRoot(), impostor(), proxyAnswers(), proxyHost(), proxyVerifies()} {
		t.Run(check.ID, func(t *testing.T) {
			result := check.Do(t.Context(), standIn(t))
			assert.Equal(t, suite.Passed, result.Verdict, "%s\n%v", result.Reason, result.Evidence)
		})
	}
}

func TestAClientThatVerifiesNothingIsNoProof(t *testing.T) {
	for _, check := range []suite.Check{wrongRoot(), impostor(), proxyAnswers(), proxyVerifies()} {
		t.Run(check.ID, func(t *testing.T) {
			s := standIn(t)
			s.Admin.Insecure, s.Admin.CAData = true, nil
			assert.Equal(t, suite.Skipped, check.Do(t.Context(), s).Verdict)
		})
	}
}

func TestASpoiledTokenDiffersInItsSignatureAlone(t *testing.T) {
	for _, token := range []string{"head.claims.Abc", "head.claims.xbc"} {
		spoiled, err := spoil(token)
		require.NoError(t, err)
		assert.NotEqual(t, token, spoiled)
		assert.True(t, strings.HasPrefix(spoiled, "head.claims.") && strings.HasSuffix(spoiled, "bc"), spoiled)
	}
	_, err := spoil("opaque")
	require.Error(t, err)
}

func TestAURLLeadsSomewhereWhereAServiceIsReachedWhateverItSays(t *testing.T) {
	const metrics = "/api/v1/namespaces/kube-system/services/https:metrics-server:https/proxy"
	tests := map[string]struct {
		path    string
		answer  probe.Answer
		reached bool
	}{
		"DNS, which hangs up": {dnsPath, probe.Answer{
			Status: http.StatusServiceUnavailable, Body: `{"kind":"Status","message":"error trying to reach service: EOF"}`,
		}, true},
		"DNS, refused on the way to it": {dnsPath, probe.Answer{Status: http.StatusForbidden, Body: "refused"}, false},
		"DNS, where nobody listens": {dnsPath, probe.Answer{
			Status: http.StatusServiceUnavailable, Body: `error trying to reach service: dial tcp 10.244.0.3:53: connect: connection refused`,
		}, false},
		"DNS, of which no pod is ready": {dnsPath, probe.Answer{
			Status: http.StatusServiceUnavailable, Body: `no endpoints available for service \"kube-dns:dns\"`,
		}, false},
		"a service that asks who it is":       {metrics, probe.Answer{Status: http.StatusForbidden, Body: "not you"}, true},
		"a service that knows no such page":   {metrics, probe.Answer{Status: http.StatusNotFound, Body: "no such page"}, true},
		"a service that the API doesn't know": {metrics, probe.Answer{Status: http.StatusNotFound, Body: `{"kind":"Status"}`}, false},
		"a port that the API doesn't know": {metrics, probe.Answer{
			Status: http.StatusServiceUnavailable, Body: `no service port \"https\" found for service \"metrics-server\"`,
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.reached, reached(test.path, test.answer)) })
	}
}
