package proxypaths

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func TestAServerThatDoesNotSwitchToWebSocketsIsNoConversation(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	err = converse(t.Context(), &rest.Config{Host: server.URL}, &suite.Evidence{}, target)
	require.ErrorContains(t, err, "websocket: bad handshake (200 OK)")
}
