package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// streams are clients that read logs and run commands in every node's pod, again and again.
type streams map[string]*steady.Client

func (s *suite) useStreams(ctx context.Context, t *testing.T) streams {
	t.Helper()
	clients := streams{}
	for _, path := range workload.Paths() {
		switch path.Name {
		case "logs", "exec over WebSocket":
		default:
			// Each use of most others is held open, and a swap ends it. Of exec over SPDY, some end without an answer and
			// without an error on a cluster that nobody changes, too (client-go v0.37.2, tools/remotecommand/v2.go and
			// errorstream.go, take a stream that was cut off for one that ended).
			continue
		}
		for _, pod := range s.pods {
			client, err := steady.Start(ctx, steady.Options{
				Do: func(ctx context.Context) error { return path.Use(ctx, pod) }, Pace: 200 * time.Millisecond,
			})
			require.NoError(t, err)
			clients[path.Name+" on "+pod.Node] = client
		}
	}
	return clients
}

func (c streams) requireNoFailure(t *testing.T) {
	t.Helper()
	for name, client := range c {
		report := client.Stop()
		t.Logf("%s: %s", name, report)
		assert.Empty(t, report.Failures, name)
		assert.Greater(t, report.Requests, 30, name)
	}
}
