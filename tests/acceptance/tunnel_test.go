package acceptance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

// withTunnel declares one beside what the example declares.
const withTunnel = `resource "kubecomm_hardening" "dev" {
  tunnel = { mode = "ssh" }
}
`

func tunnels(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(q.folder(), "tunnel_override.tf"), []byte(withTunnel), 0o600))
	c := q.open(ctx, t)
	server, worker := c.ControlPlanes()[0].Name(), workerOf(c).Name()
	before, after := q.plannedUpdate(ctx, t)
	assert.Equal(t, "ssh", at(after, "tunnel", "mode"))
	assert.Nil(t, at(before, "nodes", worker, "ssh_tunnel"))
	assert.Contains(t, q.apply(ctx, t), "Replace the kube-apiserver: ")
	q.nothingToDo(ctx, t)
	require.NoError(t, readLog(ctx, t, c))
	outcome := q.prove(ctx, t, "-profile", "baseline", "-tunnel", "ssh", "-labels", "area=tunnel")
	assert.Zero(t, outcome.Code)
	for id, verdict := range outcome.Verdicts {
		if !strings.HasPrefix(id, "tunnel/konnectivity-") {
			assert.Equal(t, program.Passed, verdict, "%s: %s", id, outcome.Reasons[id])
		}
	}
	assert.Equal(t, program.Passed, outcome.Verdicts["tunnel/ssh-carries-exec"])
	node, err := c.ControlPlanes()[0].Run(ctx, cluster.Command{Args: []string{"/opt/kubecomm/kubecomm-node", "--version"}})
	require.NoError(t, err)
	assert.NotEmpty(t, node, "the program on node %s tells its version", server)
	for _, node := range c.Nodes() {
		files := []string{ssh.ServerKey}
		if node.Role() == cluster.ControlPlane {
			files = append(files, ssh.ProxyKey)
		}
		for _, path := range files {
			file, err := node.ReadFile(ctx, path)
			require.NoError(t, err)
			key, err := leak.NewKey(node.Name()+":"+path, file.Data)
			require.NoError(t, err)
			require.NotZero(t, key.In(file.Data), "the search doesn't find the key where it is")
			q.keys = append(q.keys, key)
		}
	}
}
