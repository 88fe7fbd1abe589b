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
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

// rotationEndsNoLogOrExec replaces the CA, first in vain and then for good, while clients read logs and run commands.
func rotationEndsNoLogOrExec() features.Feature {
	want, failing := settings.Defaults(), settings.Defaults()
	want.CAGeneration, failing.CAGeneration = "2", "2"
	failing.SetFlag(settings.APIServer, "no-such-flag", "1")
	var oldCA string
	var oldKey leak.Key
	var old *pki.ServingCertificate
	return features.New("a new CA takes the place of the old one while logs and exec go on").
		Setup(step(func(ctx context.Context, t *testing.T, s *suite) {
			s.harden(ctx, t, settings.Defaults(), time.Now)
			oldCA, oldKey = caOn(ctx, t, s), keyOn(ctx, t, s.controlPlane(), imposter.CAKeyFile)
			var err error
			old, err = imposter.Neighbour(ctx, s.controlPlane(), s.worker())
			require.NoError(t, err)
		})).
		Assess("a certificate of the old CA is good on every path before",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				serve(ctx, t, s, s.worker(), old)
				settled(ctx, t, s, s.worker())
				everyPathWorksTo(ctx, t, s, s.worker())
			})).
		Assess("a rotation that fails in the end leaves the old CA, and no log or exec fails",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				settled(ctx, t, s, s.worker())
				before := s.fingerprints(ctx, t)
				streams := s.useStreams(ctx, t)
				limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
				defer cancel()
				_, err := apply.Apply(limited, s.target(), apply.Options{Settings: failing, Now: time.Now, Progress: progress(t)})
				streams.requireNoFailure(t)
				var failure *apply.StepError
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, apply.ReplaceAPIServer, failure.Step.Kind)
				require.NoError(t, failure.UndoErr)
				assert.Equal(t, oldCA, caOn(ctx, t, s))
				assert.Equal(t, before, s.fingerprints(ctx, t))
				assert.Empty(t, s.plan(ctx, t, settings.Defaults(), time.Now()))
				s.requireOneBundle(ctx, t)
			})).
		Assess("one apply brings the new CA, and no log or exec fails",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				var kinds []apply.Kind
				for _, step := range s.plan(ctx, t, want, time.Now()) {
					kinds = append(kinds, step.Kind)
				}
				assert.Equal(t, []apply.Kind{
					apply.CreateIssuer, apply.TrustBoth, apply.IssueServing, apply.IssueServing, apply.ReplaceAPIServer,
				}, kinds)
				streams := s.useStreams(ctx, t)
				s.harden(ctx, t, want, time.Now)
				streams.requireNoFailure(t)
				assert.Empty(t, s.plan(ctx, t, want, time.Now()))
			})).
		Assess("every path refuses a certificate of the old CA",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				serve(ctx, t, s, s.worker(), old)
				everyPathFails(ctx, t, s, s.worker(), unknownAuthority)
				everyPathWorksTo(ctx, t, s, s.controlPlane())
			})).
		Assess("of the old CA and its key, no node has anything left",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				settled(ctx, t, s, s.worker())
				assert.NotEqual(t, oldCA, caOn(ctx, t, s))
				s.requireOneBundle(ctx, t)
				for _, node := range s.cluster.Nodes() {
					files, err := oldKey.Files(ctx, node)
					require.NoError(t, err)
					assert.Empty(t, files, node.Name())
				}
			})).
		Assess("declared as a further CA, the old one is trusted again beside the new one",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				with := want
				with.KubeletCAs = oldCA
				s.harden(ctx, t, with, time.Now)
				serve(ctx, t, s, s.worker(), old)
				settled(ctx, t, s, s.worker())
				everyPathWorks(ctx, t, s)
			})).
		Assess("declared no more, it is refused again",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				settled(ctx, t, s, s.worker())
				s.harden(ctx, t, want, time.Now)
				serve(ctx, t, s, s.worker(), old)
				everyPathFails(ctx, t, s, s.worker(), unknownAuthority)
			})).
		Assess("the new CA's key is on control planes alone, for root alone", step(caKeyIsOnControlPlanesAlone)).
		Feature()
}

func caOn(ctx context.Context, t *testing.T, s *suite) string {
	t.Helper()
	file, err := s.controlPlane().ReadFile(ctx, imposter.CACertFile)
	require.NoError(t, err)
	return string(file.Data)
}

// requireOneBundle sees that the file with both CAs is gone, and that the one that is left is that of the CA.
func (s *suite) requireOneBundle(ctx context.Context, t *testing.T) {
	t.Helper()
	found, err := run(ctx, s.controlPlane(), `cat -- "$1"/kubelet-ca-*.crt`, "/etc/kubernetes/pki/kubecomm")
	require.NoError(t, err)
	require.Equal(t, caOn(ctx, t, s), found)
}
