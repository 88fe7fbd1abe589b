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
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/browser"
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

// load gives the nodes an image that this machine has.
func (q *quickstart) load(ctx context.Context, t *testing.T, image string) {
	t.Helper()
	archive, err := exec.CommandContext(ctx, "docker", "save", image).Output()
	require.NoError(t, err)
	for _, node := range q.open(ctx, t).Nodes() {
		args := []string{"ctr", "--namespace", "k8s.io", "images", "import", "-"}
		_, err := node.Run(ctx, cluster.Command{Args: args, Stdin: bytes.NewReader(archive)})
		require.NoError(t, err)
	}
}

// clientImages gives the nodes the images of clients that this machine has, and returns the flags that name them.
func (q *quickstart) clientImages(ctx context.Context, t *testing.T) (flags []string) {
	t.Helper()
	require.NotEmpty(t, os.Getenv(kubectlVariable), "%s isn't set; make acceptance sets it", kubectlVariable)
	for flag, variable := range map[string]string{"-kubectl-image": kubectlVariable, "-python-image": pythonVariable} {
		if image := os.Getenv(variable); image != "" {
			q.load(ctx, t, image)
			flags = append(flags, flag, image)
		}
	}
	return flags
}

// The variables that name images of clients. A machine that builds none may have none with Kubernetes' Python library.
const (
	kubectlVariable = "KUBECOMM_KUBECTL_IMAGE"
	pythonVariable  = "KUBECOMM_PYTHON_IMAGE"
)

// leftOut are the checks that this machine lacks something for.
func leftOut() (ids []string) {
	if os.Getenv(pythonVariable) == "" {
		ids = append(ids, "in-pod/python-client")
	}
	if _, err := browser.Find(); err != nil {
		ids = append(ids, "outside/browser")
	}
	return ids
}

func passesTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	flags := append([]string{"-profile", "baseline", "-destructive"}, q.clientImages(ctx, t)...)
	outcome := q.prove(ctx, t, flags...)
	assert.Zero(t, outcome.Code)
	lacking := leftOut()
	for id, verdict := range outcome.Verdicts {
		undeclared := strings.HasPrefix(id, "control-plane/declared-") // what the profile says nothing of
		if verdict != "skipped" || !slices.Contains(lacking, id) && !undeclared {
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
