package faults

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// ask starts a client outside the cluster.
func (s *suite) ask(ctx context.Context, t *testing.T) *steady.Client {
	t.Helper()
	config, err := s.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	client, err := steady.Start(ctx, steady.Options{Config: config})
	require.NoError(t, err)
	t.Cleanup(func() { client.Stop() })
	return client
}

// requireAllAnswered ends a client of which no request may have failed.
func requireAllAnswered(t *testing.T, client *steady.Client) {
	t.Helper()
	report := client.Stop()
	t.Log(report)
	assert.Empty(t, report.Failures)
	assert.Greater(t, report.Requests, 50)
}
