package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

// stockClusterTrustsAnyKubelet is the positive control of every refusal that follows: the same stranger, served in the
// same way, is believed.
func stockClusterTrustsAnyKubelet() features.Feature {
	return features.New("a stock cluster trusts whatever answers as a kubelet").
		Assess("every path works on every node", step(everyPathWorks)).
		Assess("every path works through a worker that serves a stranger's certificate",
			step(strangerIsBelieved)).
		Assess("the worker's own files are back, byte for byte", step(stockFilesAreThere)).
		Feature()
}

func strangerIsBelieved(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	serveStranger(ctx, t, s, s.worker())
	settled(ctx, t, s, s.worker())
	everyPathWorksTo(ctx, t, s, s.worker())
}

func stockFilesAreThere(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	states, err := readFileStates(ctx, s.cluster)
	require.NoError(t, err)
	require.Equal(t, s.stock, states)
}
