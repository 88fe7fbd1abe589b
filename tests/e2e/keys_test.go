package e2e

import (
	"context"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

// caKeyIsOnControlPlanesAlone finds the key where it has to be, which proves that the search finds it, and nowhere else.
func caKeyIsOnControlPlanesAlone(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	key := keyOn(ctx, t, s.controlPlane(), imposter.CAKeyFile)
	for _, node := range s.cluster.Nodes() {
		files, err := key.Files(ctx, node)
		require.NoError(t, err)
		if node.Role() != cluster.ControlPlane {
			assert.Empty(t, files, node.Name())
			continue
		}
		assert.Equal(t, []string{imposter.CAKeyFile}, files, node.Name())
		access, err := run(ctx, node, `stat --format '%a %U %G' -- "$1"`, imposter.CAKeyFile)
		require.NoError(t, err)
		assert.Equal(t, "600 root root\n", access, node.Name())
	}
}

// ownKeys are the files of a worker that may hold a private key: its client certificate, its serving certificate, and
// the one that it had before.
var ownKeys = regexp.MustCompile(`^/var/lib/kubelet/pki/kubelet-client-[0-9-]+\.pem$|` +
	`^(/etc/kubernetes/kubecomm/baseline)?/var/lib/kubelet/pki/kubelet\.key$`)

func workersHaveTheirOwnKeysAlone(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	files, err := leak.KeyFiles(ctx, s.worker())
	require.NoError(t, err)
	assert.Contains(t, files, imposter.KeyFile, "the search finds what is there")
	for _, file := range files {
		assert.Regexp(t, ownKeys, file)
	}
	for _, node := range s.cluster.ControlPlanes() {
		files, err := keyOn(ctx, t, node, imposter.KeyFile).Files(ctx, s.worker())
		require.NoError(t, err)
		assert.Empty(t, files, "the serving key of %s", node.Name())
	}
}

func keyOn(ctx context.Context, t *testing.T, node *cluster.Node, path string) leak.Key {
	t.Helper()
	file, err := node.ReadFile(ctx, path)
	require.NoError(t, err)
	key, err := leak.NewKey(node.Name()+":"+path, file.Data)
	require.NoError(t, err)
	return key
}
