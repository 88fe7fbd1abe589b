package acceptance

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// failsTheConformanceSuite is of a stock cluster that is expected to be a hardened one.
func failsTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	assert.Empty(t, q.prove(ctx, t, program.StockFlags()...).NotStock())
}
