package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// startSteadyClient starts one outside the cluster.
func startSteadyClient(ctx context.Context, t *testing.T, s *suite) *steady.Client {
	t.Helper()
	config, err := s.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	client, err := steady.Start(ctx, steady.Options{Config: config})
	require.NoError(t, err)
	return client
}
