package provider

import (
	"bytes"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

func TestProgressIsLoggedWithStepNodeAndElapsedTime(t *testing.T) {
	var output bytes.Buffer
	ctx := tflogtest.RootLogger(t.Context(), &output)
	step := apply.Step{Kind: apply.ReplaceAPIServer, Node: "dev-control-plane", Reason: "the CA is new"}
	logProgress(ctx, apply.Progress{Cluster: "dev", Event: apply.Waiting, Note: "an apply by process 1", Elapsed: time.Second})
	logProgress(ctx, apply.Progress{
		Cluster: "dev", Event: apply.Begins, Number: 2, Of: 3, Step: step, Phase: "start the trial", Elapsed: 1500 * time.Millisecond,
	})
	entries, err := tflogtest.MultilineJSONDecode(&output)
	require.NoError(t, err)
	require.Equal(t, []map[string]any{
		{
			"@level": "warn", "@message": "waiting for the lock", "@module": "provider", "cluster": "dev", "elapsed": "1s",
			"note": "an apply by process 1",
		},
		{
			"@level": "info", "@message": "step begins", "@module": "provider", "cluster": "dev", "elapsed": "1.5s",
			"step": "2 of 3", "node": "dev-control-plane", "what": "replace the kube-apiserver", "reason": "the CA is new",
			"phase": "start the trial",
		},
	}, entries)
}
