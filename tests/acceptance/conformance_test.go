package acceptance

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
)

// conformance is the released program, as make builds it.
const conformance = "../../bin/kubecomm-conformance"

// prove runs the conformance suite on the cluster.
func (q *quickstart) prove(ctx context.Context, t *testing.T, flags ...string) program.Outcome {
	t.Helper()
	outcome, err := program.Run(ctx, conformance, append([]string{"-kind", q.name}, flags...)...)
	t.Log(outcome.Output)
	require.NoError(t, err)
	return outcome
}

func passesTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	images, err := program.LoadClients(ctx, q.open(ctx, t), os.Getenv)
	require.NoError(t, err)
	assert.Empty(t, q.prove(ctx, t, program.HardenedFlags(images...)...).NotHardened())
}

// isRefusedByTheConformanceSuite is who may look at a cluster, and do nothing to it.
func isRefusedByTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	kubeconfig, err := q.open(ctx, t).Kubeconfig(ctx)
	require.NoError(t, err)
	config, err := clientcmd.Load(kubeconfig)
	require.NoError(t, err)
	for _, user := range config.AuthInfos {
		user.Impersonate = "somebody"
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, file))

	outcome, err := program.Run(ctx, conformance, "-kubeconfig", file)
	require.ErrorContains(t, err, "left no results")
	assert.Equal(t, 2, outcome.Code)
	assert.Regexp(t, `^FAIL: the suite needs the rights of a cluster's administrator; on the cluster at \S+ it may not create namespaces, `,
		outcome.Output)
}

// failsTheConformanceSuite is of a stock cluster that is expected to be a hardened one.
func failsTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	assert.Empty(t, q.prove(ctx, t, program.StockFlags()...).NotStock())
}
