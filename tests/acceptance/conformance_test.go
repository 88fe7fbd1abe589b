package acceptance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
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
	require.NotEmpty(t, outcome.Verdicts)
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

// leftOut are checks that need what a machine may lack: an image with Kubernetes' Python library, and a browser.
var leftOut = []string{"in-pod/python-client", "outside/browser"}

func passesTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	outcome := q.prove(ctx, t, "-profile", "baseline", "-destructive", "-kubectl-image", q.loadKubectl(ctx, t))
	assert.Zero(t, outcome.Code)
	for id, verdict := range outcome.Verdicts {
		undeclared := strings.HasPrefix(id, "control-plane/declared-") // what the profile says nothing of
		if verdict != "skipped" || !slices.Contains(leftOut, id) && !undeclared {
			assert.Equal(t, "passed", verdict, id)
		}
	}
}

// failsTheConformanceSuite is of a stock cluster that is expected to be a hardened one.
func failsTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	outcome := q.prove(ctx, t, "-profile", "baseline", "-labels", "area=kubelet-paths", "-skip-labels", "id=kubelet-paths/thousand-execs")
	assert.Equal(t, 1, outcome.Code)
	for id, verdict := range outcome.Verdicts {
		switch id {
		case "kubelet-paths/kubelets-verified":
			assert.Equal(t, "failed", verdict, id)
		case "kubelet-paths/rogue-stranger", "kubelet-paths/rogue-neighbour":
			assert.Equal(t, "skipped", verdict, id)
		default:
			assert.Equal(t, "passed", verdict, id)
		}
	}
	assert.Contains(t, outcome.Verdicts, "kubelet-paths/kubelets-verified")
}
