package behaviour

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// The images that nodes and pods are made of. Without the first, nothing is asked of a cluster.
const (
	nodeImageVariable    = "KUBECOMM_NODE_IMAGE"
	agnhostImageVariable = "KUBECOMM_AGNHOST_IMAGE"
)

const (
	stateLimit  = 5 * time.Minute
	deleteLimit = 2 * time.Minute
)

func TestEachSettingChangesWhatItSays(t *testing.T) {
	if _, wanted := os.LookupEnv(nodeImageVariable); !wanted {
		t.Skipf("%s is not set; make e2e sets it and runs this on a kind cluster of its own", nodeImageVariable)
	}
	lab := createLab(t)
	for _, state := range States() {
		enter(t, lab, state)
		t.Run(string(state), func(t *testing.T) {
			for _, pair := range Pairs() {
				if _, asked := pair.Answers[state]; !asked {
					continue
				}
				t.Run(pair.Setting, func(t *testing.T) {
					t.Parallel()
					require.NoError(t, pair.Show(t.Context(), lab, state))
				})
			}
		})
	}
}

func createLab(t *testing.T) *Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stateLimit)
	defer cancel()
	engine, name := cluster.NewEngine(), "kubecomm-behaviour-"+strings.ToLower(rand.Text()[:6])
	t.Cleanup(func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deleteLimit)
		defer cancel()
		require.NoError(t, engine.Delete(limited, name, ""))
	})
	created, err := engine.Create(ctx, cluster.Spec{
		Name:      name,
		NodeImage: os.Getenv(nodeImageVariable),
		Nodes:     []cluster.NodeSpec{{Role: cluster.ControlPlane}, {Role: cluster.Worker}},
	}, cluster.CreateOptions{WaitForReady: true})
	if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
		t.Log(strings.Join(failure.Evidence, "\n"))
	}
	require.NoError(t, err)
	lab, err := NewLab(ctx, created, os.Getenv(agnhostImageVariable))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	return lab
}

func enter(t *testing.T, lab *Lab, state State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stateLimit)
	defer cancel()
	require.NoError(t, lab.Enter(ctx, state, func(p apply.Progress) {
		if p.Event == apply.Done {
			t.Logf("%d of %d: %s, %s after the start", p.Number, p.Of, p.Step, p.Elapsed.Round(100*time.Millisecond))
		}
	}))
}
