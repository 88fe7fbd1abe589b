// Package e2e proves on a live cluster what kubecomm does to the paths between a control plane and its nodes: what was
// open before, what is refused after, and that everything else keeps working.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// The images that nodes and pods are made of. Whoever sets the first wants a cluster, and gets a failure where none can
// be had; without it, nothing here can run.
const (
	nodeImageVariable    = "KUBECOMM_NODE_IMAGE"
	agnhostImageVariable = "KUBECOMM_AGNHOST_IMAGE"
)

// testenv has the cluster; nil if none was asked for.
var testenv env.Environment

func TestMain(m *testing.M) {
	if _, wanted := os.LookupEnv(nodeImageVariable); !wanted {
		os.Exit(m.Run())
	}
	os.Exit(runWithCluster(m))
}

func runWithCluster(m *testing.M) int {
	// An interrupted run takes its cluster down as well.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	base, err := env.NewFromFlags()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := workload.MuteKlog(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s := &suite{}
	testenv = base.WithContext(context.WithValue(ctx, suiteKey{}, s))
	testenv.Setup(explained(s.create), explained(s.deploy))
	testenv.AfterEachFeature(s.explainFailure)
	testenv.Finish(explained(s.checkIsolation))
	testenv.Finish(explained(s.delete)) // apart, because of several in one call, a failure skips the rest
	code := testenv.Run(m)
	if s.finishErr != nil {
		code = max(code, 1) // the framework itself goes on
	}
	return code
}

func explained(do env.Func) env.Func {
	return func(ctx context.Context, config *envconf.Config) (context.Context, error) {
		ctx, err := do(ctx, config)
		if err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
				fmt.Fprintln(os.Stderr, strings.Join(failure.Evidence, "\n"))
			}
		}
		return ctx, err
	}
}

func needCluster(t *testing.T) {
	t.Helper()
	if testenv == nil {
		t.Skipf("%s is not set; make e2e sets it and runs this on a kind cluster of its own", nodeImageVariable)
	}
}
