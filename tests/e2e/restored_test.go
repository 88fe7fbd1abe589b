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
)

func restoredClusterIsAsItWas() features.Feature {
	return features.New("a cluster that is no longer hardened is as it was before").
		Setup(step(func(ctx context.Context, t *testing.T, s *suite) {
			s.harden(ctx, t, settings.Defaults(), time.Now)
			hardened, err := readFileStates(ctx, s.cluster)
			require.NoError(t, err)
			for file, state := range hardened {
				require.NotEqual(t, s.stock[file], state, "%s is not one that hardening changes", file)
			}
			s.restore(ctx, t)
		})).
		Assess("every file is what it was, byte for byte", step(stockFilesAreThere)).
		Assess("nothing of kubecomm's is left", step(func(ctx context.Context, t *testing.T, s *suite) {
			for _, node := range s.cluster.Nodes() {
				left, err := run(ctx, node, `find /etc/kubernetes /var/lib/kubelet/pki -name '*kubecomm*'`)
				require.NoError(t, err)
				assert.Empty(t, left, node.Name())
			}
		})).
		Assess("every path works on every node", step(everyPathWorks)).
		Assess("every path works through a worker that serves a stranger's certificate", step(strangerIsBelieved)).
		Feature()
}

// restore is what a terraform destroy does.
func (s *suite) restore(ctx context.Context, t *testing.T) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	require.NoError(t, apply.Restore(limited, s.target(), apply.Options{Now: time.Now, Progress: progress(t)}))
}
