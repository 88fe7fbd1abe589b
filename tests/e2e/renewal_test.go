package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
)

// agedCertificatesAreRenewed lets certificates be old by issuing them in the past: after 30 of their 42 hours, two
// thirds are over, and yet they are valid.
func agedCertificatesAreRenewed() features.Feature {
	want := settings.Defaults()
	want.ServingValidity = 42 * time.Hour
	var aged map[string]string
	return features.New("certificates past two thirds of their life are renewed").
		Setup(step(func(ctx context.Context, t *testing.T, s *suite) {
			s.harden(ctx, t, settings.Defaults(), yesterday)
		})).
		Assess("a year's certificates will be due after eight months, on every node",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				const month = 30 * 24 * time.Hour
				assert.Empty(t, s.plan(ctx, t, settings.Defaults(), time.Now().Add(7*month)))
				assert.Equal(t, s.renewals(), s.plan(ctx, t, settings.Defaults(), time.Now().Add(9*month)))
			})).
		Assess("a shorter life that is declared is given to every certificate",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				s.harden(ctx, t, want, yesterday)
				aged = s.fingerprints(ctx, t)
			})).
		Assess("every path works with old certificates", step(everyPathWorks)).
		Assess("by today's clock they are due, and nothing else is",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				assert.Equal(t, s.renewals(), s.plan(ctx, t, want, time.Now()))
			})).
		Assess("an apply renews them, and nothing is restarted",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				before, server := s.processes(ctx, t), s.apiserver(ctx, t)
				s.harden(ctx, t, want, time.Now)
				assert.Equal(t, before, s.processes(ctx, t))
				assert.Equal(t, server, s.apiserver(ctx, t))
				for node, fingerprint := range s.fingerprints(ctx, t) {
					assert.NotEqual(t, aged[node], fingerprint, node)
				}
				assert.Empty(t, s.plan(ctx, t, want, time.Now()))
			})).
		Assess("every path works with new certificates", step(everyPathWorks)).
		Feature()
}

func (s *suite) plan(ctx context.Context, t *testing.T, want settings.Settings, now time.Time) []apply.Step {
	t.Helper()
	observed, err := apply.Observe(ctx, s.target(), now)
	require.NoError(t, err)
	return apply.Plan(observed, want)
}

// renewals is one step for each node.
func (s *suite) renewals() []apply.Step {
	var steps []apply.Step
	for _, node := range s.cluster.Nodes() {
		steps = append(steps, apply.Step{
			Kind: apply.IssueServing, Node: node.Name(), Reason: "two thirds of its life are over",
		})
	}
	return steps
}

func (s *suite) fingerprints(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, node := range s.cluster.Nodes() {
		certificate, err := imposter.Served(ctx, s.controlPlane(), node)
		require.NoError(t, err)
		found[node.Name()] = pki.Fingerprint(certificate)
	}
	return found
}
