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

// loadKubectl gives the nodes the image of kubectl that this machine has, and returns its name.
func (q *quickstart) loadKubectl(ctx context.Context, t *testing.T) string {
	t.Helper()
	image := os.Getenv("KUBECOMM_KUBECTL_IMAGE")
	require.NotEmpty(t, image, "KUBECOMM_KUBECTL_IMAGE isn't set; make acceptance sets it")
	archive, err := exec.CommandContext(ctx, "docker", "save", image).Output()
	require.NoError(t, err)
	for _, node := range q.open(ctx, t).Nodes() {
		args := []string{"ctr", "--namespace", "k8s.io", "images", "import", "-"}
		_, err := node.Run(ctx, cluster.Command{Args: args, Stdin: bytes.NewReader(archive)})
		require.NoError(t, err)
	}
	return image
}

// leftOut are checks that need what a machine may lack: an image with Kubernetes' Python library, a browser, and a quarter of an
// hour.
var leftOut = []string{"in-pod/python-client", "outside/browser", "in-pod/token-renewal"}

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
