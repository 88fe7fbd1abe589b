package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

const ownCAFile = "/etc/kubernetes/pki/kubecomm/kubelet-serving-own-ca.crt"

// ownCA declares one beside what the example declares, which it overrides in part. No override can bring a variable.
const ownCA = `resource "kubecomm_hardening" "dev" {
  kubelet_serving_ca = {
    certificate    = <<-EOT
%s    EOT
    private_key_wo = var.ca_key
  }
}
`

const keyVariable = `variable "ca_key" {
  type      = string
  ephemeral = true
  sensitive = true
}
`

func adoptsOwnCA(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	ca, err := pki.NewCA("own", time.Now())
	require.NoError(t, err)
	key, err := leak.NewKey("the user's own CA", ca.Key.Reveal())
	require.NoError(t, err)
	require.NotZero(t, key.In(ca.Key.Reveal()), "the search doesn't find the key where it is")
	certificate := string(pki.EncodeBundle(ca.Certificate))
	for file, text := range map[string]string{"own_override.tf": fmt.Sprintf(ownCA, certificate), "own.tf": keyVariable} {
		require.NoError(t, os.WriteFile(filepath.Join(q.folder(), file), []byte(text), 0o600))
	}
	q.options.EnvVars["TF_VAR_ca_key"] = string(ca.Key.Reveal())
	q.keys, q.ownCA = append(q.keys, key), true

	before, after := q.plannedUpdate(ctx, t)
	assert.NotEqual(t, certificate, at(before, "kubelet_ca"))
	assert.Equal(t, certificate, at(after, "kubelet_ca"))
	assert.Nil(t, at(after, "kubelet_serving_ca", "private_key_wo"))
	output := q.apply(ctx, t)
	assert.Contains(t, output, "Have the kube-apiserver trust the new CA for kubelets beside the old one:")
	q.nothingToDo(ctx, t)

	c := q.open(ctx, t)
	require.NoError(t, readLog(ctx, t, c))
	for _, node := range c.Nodes() {
		files, err := key.Files(ctx, node)
		require.NoError(t, err)
		assert.Empty(t, files, node.Name())
	}
	q.collectKeys(ctx, t)
}
