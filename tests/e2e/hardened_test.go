package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// yesterday is the clock by which the first certificates are issued. It runs behind, so that agedCertificatesAreRenewed
// finds a certificate old that is valid by the clocks of all who verify it.
func yesterday() time.Time { return time.Now().Add(-30 * time.Hour) }

func hardenedClusterTrustsItsOwnKubeletsAlone() features.Feature {
	var before, after map[string]string
	var oldServer, newServer string
	var outside steady.Report
	return features.New("a hardened cluster trusts its own kubelets alone").
		Setup(step(func(ctx context.Context, t *testing.T, s *suite) {
			before, oldServer = s.processes(ctx, t), s.apiserver(ctx, t)
			client := startSteadyClient(ctx, t, s)
			s.harden(ctx, t, settings.Defaults(), yesterday)
			outside = client.Stop()
			after, newServer = s.processes(ctx, t), s.apiserver(ctx, t)
		})).
		Assess("of what runs on the nodes, the apiserver alone was replaced",
			step(func(_ context.Context, t *testing.T, _ *suite) {
				assert.Equal(t, before, after)
				assert.NotEqual(t, oldServer, newServer)
			})).
		Assess("no client of the API noticed", step(func(_ context.Context, t *testing.T, _ *suite) {
			t.Log(outside)
			assert.Empty(t, outside.Failures)
			assert.Greater(t, outside.Requests, 100)
		})).
		Assess("every path works on every node", step(everyPathWorks)).
		Assess("every path refuses a worker that serves a stranger's certificate",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				serveStranger(ctx, t, s, s.worker())
				everyPathFails(ctx, t, s, s.worker(), unknownAuthority)
				everyPathWorksTo(ctx, t, s, s.controlPlane())
			})).
		Assess("every path refuses a worker that serves another node's certificate",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				certificate, err := imposter.Neighbour(ctx, s.controlPlane(), s.controlPlane())
				require.NoError(t, err)
				serve(ctx, t, s, s.worker(), certificate)
				everyPathFails(ctx, t, s, s.worker(), otherAddresses(s.controlPlane(), s.worker()))
				everyPathWorksTo(ctx, t, s, s.controlPlane())
			})).
		Assess("every path works through the worker that serves its own again",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				settled(ctx, t, s, s.worker())
				everyPathWorks(ctx, t, s)
			})).
		Assess("the CA's key is on control planes alone, for root alone", step(caKeyIsOnControlPlanesAlone)).
		Assess("a worker has no other private keys than its own", step(workersHaveTheirOwnKeysAlone)).
		Feature()
}

// harden is what a terraform apply does.
func (s *suite) harden(ctx context.Context, t *testing.T, want settings.Settings, now func() time.Time) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	observed, err := apply.Apply(limited, s.target(), apply.Options{Settings: want, Now: now, Progress: progress(t)})
	require.NoError(t, err)
	require.True(t, observed.AllVerifyKubelets())
}

func progress(t *testing.T) func(apply.Progress) {
	t.Helper()
	return func(p apply.Progress) {
		if p.Event == apply.Done {
			t.Logf("%d of %d: %s, %s after the start", p.Number, p.Of, p.Step, p.Elapsed.Round(100*time.Millisecond))
		}
	}
}
