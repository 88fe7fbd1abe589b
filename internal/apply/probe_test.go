package apply

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// dialer is a control plane that connects to what it is told to.
type dialer struct{ Node }

func (dialer) Name() string       { return "cp" }
func (dialer) Role() cluster.Role { return cluster.ControlPlane }

func (dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func TestAKubeletThatRefusesForAMomentIsAskedAgain(t *testing.T) {
	answer, asked := askServer(t, func(asked int32, w http.ResponseWriter) {
		if asked < 2 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"kubeletconfig":{"readOnlyPort":0}}`))
	})
	require.NoError(t, answer.configProblem)
	assert.Contains(t, answer.config, "readOnlyPort")
	assert.EqualValues(t, 2, asked)
}

func TestAKubeletThatFailsOtherwiseIsAskedOnce(t *testing.T) {
	answer, asked := askServer(t, func(_ int32, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	require.ErrorContains(t, answer.configProblem, "/configz: 500 Internal Server Error")
	assert.NotEmpty(t, answer.chain, "what it serves is known all the same")
	assert.EqualValues(t, 1, asked)
}

// askServer asks a server on loopback in the place of a kubelet; serve gets the number of the request, from 1.
func askServer(t *testing.T, serve func(asked int32, w http.ResponseWriter)) (answered, int32) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { serve(asked.Add(1), w) }))
	t.Cleanup(server.Close)
	target := Target{
		Nodes: []Node{dialer{}},
		Admin: func(context.Context) (*rest.Config, error) {
			return &rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, nil
		},
	}
	answer := askSettledKubelet(t.Context(), target, netip.MustParseAddrPort(server.Listener.Addr().String()))
	return answer, asked.Load()
}
