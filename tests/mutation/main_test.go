// Package mutation proves the conformance suite: each of many sabotages of a live cluster must make exactly the checks fail that
// it concerns, and every check must be made to fail by one of them. Between two sabotages the cluster is repaired; that each
// repair is noticed too, the next sabotage's run shows, in which those checks pass again, and the last one's a run without any.
//
// It makes a cluster of its own. Single sabotages are run with go test's -run; KUBECOMM_MUTATION_CLUSTER names a hardened cluster
// of kind's, of profile baseline, that is used in place of one and stays, for who works on a sabotage.
package mutation

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
)

const nodeImageVariable = "KUBECOMM_NODE_IMAGE"

func TestTheSuiteFindsEverySabotage(t *testing.T) {
	if os.Getenv(nodeImageVariable) == "" {
		t.Skipf("%s is not set; make mutation sets it and runs this on a kind cluster of its own", nodeImageVariable)
	}
	ctx, stop := signal.NotifyContext(context.WithoutCancel(t.Context()), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	l := newLab(ctx, t)
	done := 0
	for _, each := range sabotages() {
		if ctx.Err() != nil {
			break
		}
		t.Run(each.name, func(t *testing.T) {
			done++
			l.prove(ctx, t, each)
		})
	}
	require.NoError(t, context.Cause(ctx))
	t.Run("after all that, every check passes", func(t *testing.T) { l.requirePassing(ctx, t) })
	if done < len(sabotages()) {
		return // -run chose some of them
	}
	for _, check := range catalogue.All() {
		if l.passing[check.ID] && !slices.Contains(ofClients, check.ID) {
			assert.Contains(t, l.failed, check.ID, "no sabotage makes this check fail")
		}
	}
}
