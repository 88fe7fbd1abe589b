package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// conformance is the released program, as make builds it.
const conformance = "../../bin/kubecomm-conformance"

// verdicts are what the conformance suite found, by the checks' ids.
type verdicts map[string]string

// prove runs the conformance suite on the cluster, and returns its exit code beside what it found.
func (q *quickstart) prove(ctx context.Context, t *testing.T, flags ...string) (verdicts, int) {
	t.Helper()
	results := t.TempDir()
	program, err := filepath.Abs(conformance)
	require.NoError(t, err)
	flags = append([]string{"-kind", q.name, "-results", results}, flags...)
	run := exec.CommandContext(ctx, program, flags...)
	run.Dir = results
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) } // which removes what it made
	run.WaitDelay = time.Minute
	output, err := run.CombinedOutput()
	t.Logf("%s", output)
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		require.NoError(t, err)
	}
	text, err := os.ReadFile(filepath.Join(results, "results.json"))
	require.NoError(t, err)
	var read struct {
		Checks []struct{ ID, Verdict string }
	}
	require.NoError(t, json.Unmarshal(text, &read))
	found := verdicts{}
	for _, check := range read.Checks {
		found[check.ID] = check.Verdict
	}
	return found, run.ProcessState.ExitCode()
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
	found, code := q.prove(ctx, t, "-profile", "baseline", "-destructive", "-kubectl-image", q.loadKubectl(ctx, t))
	assert.Zero(t, code)
	require.NotEmpty(t, found)
	for id, verdict := range found {
		undeclared := strings.HasPrefix(id, "control-plane/declared-") // what the profile says nothing of
		if verdict != "skipped" || !slices.Contains(leftOut, id) && !undeclared {
			assert.Equal(t, "passed", verdict, id)
		}
	}
}

// failsTheConformanceSuite is of a stock cluster that is expected to be a hardened one.
func failsTheConformanceSuite(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	found, code := q.prove(ctx, t, "-profile", "baseline", "-labels", "area=kubelet-paths", "-skip-labels", "id=kubelet-paths/thousand-execs")
	assert.Equal(t, 1, code)
	for id, verdict := range found {
		switch id {
		case "kubelet-paths/kubelets-verified":
			assert.Equal(t, "failed", verdict, id)
		case "kubelet-paths/rogue-stranger", "kubelet-paths/rogue-neighbour":
			assert.Equal(t, "skipped", verdict, id)
		default:
			assert.Equal(t, "passed", verdict, id)
		}
	}
	assert.Contains(t, found, "kubelet-paths/kubelets-verified")
}
