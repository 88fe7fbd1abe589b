package provider

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

func TestAFailureSaysWhatBecameOfTheClusterAndWhatToDo(t *testing.T) {
	swap := apply.Step{Kind: apply.ReplaceAPIServer, Node: "dev-control-plane", Reason: "any"}
	restart := apply.Step{Kind: apply.ConfigureKubelet, Node: "dev-worker", Reason: "any"}
	failed := func(cause error, change func(*apply.StepError)) error {
		step := &apply.StepError{Cluster: "dev", Number: 2, Of: 3, Step: swap, Phase: "prove the trial", Err: cause}
		change(step)
		return fmt.Errorf("wrapped: %w", step)
	}
	const (
		text        = "Error: wrapped: step 2 of 3 on cluster dev, node dev-control-plane: replace the kube-apiserver: prove the trial: it ended"
		failedTitle = "The hardening of cluster dev failed"
		nothing     = "Nothing was changed"
	)
	tests := map[string]struct {
		err    error
		title  string
		detail []string // parts
		absent string
	}{
		"another apply has the lock": {
			err:   &apply.LockedError{Cluster: "dev", Holder: "an apply by process 7 on b, since noon", Waited: 5 * time.Minute},
			title: "Another apply is at work on cluster dev",
			detail: []string{
				"Wait until it has ended and apply again", nothing,
				"Error: waited 5m0s for the lock of cluster dev, which is held by an apply by process 7 on b, since noon",
			},
		},
		"a step failed, and all was undone": {
			err: failed(errors.New("it ended"), func(e *apply.StepError) { e.Undone = []apply.Step{swap, restart} }), title: failedTitle,
			detail: []string{
				"Everything that was done is undone: the cluster is as it was before.", text +
					"\nUndone: node dev-control-plane: replace the kube-apiserver" +
					"\nUndone: node dev-worker: change the kubelet's configuration",
			},
			absent: "Undoing failed",
		},
		"a step failed, and so did undoing another": {
			err: failed(errors.New("it ended"), func(e *apply.StepError) {
				e.Undone, e.UndoErr = []apply.Step{swap}, errors.New("node dev-worker: no space left")
			}), title: failedTitle,
			detail: []string{
				"Not everything that was done could be undone.", "apply again, or destroy", text,
				"\nUndone: node dev-control-plane: replace the kube-apiserver\nUndoing failed: node dev-worker: no space left",
			},
			absent: "is as it was before",
		},
		"a step failed that can only be finished": {
			err: failed(errors.New("it ended"), func(e *apply.StepError) { e.Kept = true }), title: failedTitle,
			detail: []string{"can't be undone, only finished", "do the same again", text}, absent: "Undone:",
		},
		"the engine went away during a step": {
			err:   failed(cluster.ErrEngineUnavailable, func(e *apply.StepError) { e.UndoErr = cluster.ErrEngineUnavailable }),
			title: failedTitle, detail: []string{"Not everything that was done could be undone."}, absent: nothing,
		},
		"the engine is away": {
			err: cluster.ErrEngineUnavailable, title: "The container engine does not answer", detail: []string{nothing},
		},
		"the cluster is not there": {
			err: cluster.ErrNotFound, title: "There is no kind cluster dev", detail: []string{"kind get clusters"},
		},
		"a node is down": {
			err: apply.ErrNodeDown, title: "A node of cluster dev isn't running", detail: []string{"docker start NODE", nothing},
		},
		"the API is away": {
			err: apply.ErrAPIUnavailable, title: "The Kubernetes API of cluster dev doesn't answer", detail: []string{nothing},
		},
		"it changed again": {
			err: errors.New("it changed again meanwhile"), title: failedTitle,
			detail: []string{"apply again", "Error: it changed again meanwhile"}, absent: nothing,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := hardeningFailed("applying", "dev", test.err)
			require.Equal(t, diag.SeverityError, got.Severity())
			require.Equal(t, test.title, got.Summary())
			require.Contains(t, got.Detail(), "While applying the hardening of kind cluster dev.\n\n")
			for _, part := range test.detail {
				require.Contains(t, got.Detail(), part)
			}
			if test.absent != "" {
				require.NotContains(t, got.Detail(), test.absent)
			}
			placed, ok := got.(diag.DiagnosticWithPath)
			require.True(t, ok)
			require.Equal(t, path.Root("cluster"), placed.Path())
		})
	}
}
