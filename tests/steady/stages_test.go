package steady

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// TestStagesTellWhereARequestWaited has a server that is slow to answer, and one that never does.
func TestStagesTellWhereARequestWaited(t *testing.T) {
	const pause = 50 * time.Millisecond
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(pause) }))
	t.Cleanup(server.Close)
	certificate := rest.TLSClientConfig{Insecure: true}

	client, err := Start(t.Context(), Options{Config: &rest.Config{Host: server.URL, TLSClientConfig: certificate}})
	require.NoError(t, err)
	answered(t, client, 1)
	client.Stop()
	stages := client.Answers()[0].Stages
	require.Positive(t, stages.Connected)
	require.Greater(t, stages.Secured, stages.Connected)
	require.Greater(t, stages.Answered, stages.Secured+pause/2)

	server.Close()
	client, err = Start(t.Context(), Options{Config: &rest.Config{Host: server.URL, TLSClientConfig: certificate}})
	require.NoError(t, err)
	answered(t, client, 1)
	failures := client.Stop().Failures
	require.Zero(t, failures[0].Stages)
	require.NotEmpty(t, failures[0].Error)
}
