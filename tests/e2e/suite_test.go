package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/e2e-framework/pkg/envconf"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

const (
	createLimit = 5 * time.Minute
	deleteLimit = 2 * time.Minute
)

// suite is what all tests share: one cluster, with a pod on every node.
type suite struct {
	engine    *cluster.Engine
	cluster   *cluster.Cluster
	pods      []workload.Pod
	stock     fileStates // of the files that kubecomm changes, before it did
	explained bool       // whether a failure was explained; those that follow seldom have reasons of their own
	finishErr error
}

type suiteKey struct{}

func suiteOf(ctx context.Context) *suite { return ctx.Value(suiteKey{}).(*suite) }

// create finds out first whether anything is missing, because creating takes long.
func (s *suite) create(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	for _, variable := range []string{nodeImageVariable, agnhostImageVariable} {
		if os.Getenv(variable) == "" {
			return ctx, fmt.Errorf("%s is not set to an image; make e2e sets %s and %s", variable, nodeImageVariable,
				agnhostImageVariable)
		}
	}
	limited, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	s.engine = cluster.NewEngine()
	var err error
	s.cluster, err = s.engine.Create(limited, cluster.Spec{
		Name:      "kubecomm-e2e-" + strings.ToLower(rand.Text()[:6]),
		NodeImage: os.Getenv(nodeImageVariable),
		Nodes:     []cluster.NodeSpec{{Role: cluster.ControlPlane}, {Role: cluster.Worker}},
	}, cluster.CreateOptions{WaitForReady: true})
	if err != nil {
		return ctx, err
	}
	s.stock, err = readFileStates(ctx, s.cluster)
	return ctx, err
}

func (s *suite) deploy(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	config, err := s.cluster.RESTConfig(ctx)
	if err != nil {
		return ctx, err
	}
	var names []string
	for _, node := range s.cluster.Nodes() {
		names = append(names, node.Name())
	}
	s.pods, err = workload.Deploy(ctx, config, workload.Deployment{Image: os.Getenv(agnhostImageVariable), Nodes: names})
	return ctx, err
}

func (s *suite) delete(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	if s.cluster == nil {
		return ctx, nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	err := s.engine.Delete(limited, s.cluster.Name(), "")
	s.finishErr = errors.Join(s.finishErr, err)
	return ctx, err
}

// checkIsolation asks, while the nodes still run, whether any packet for a pod or service could leave the machine. On a
// machine whose images come from a registry it asks nothing.
func (s *suite) checkIsolation(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	if s.cluster == nil {
		return ctx, nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	output, err := exec.CommandContext(limited, "go", "run", "../env", "check", s.cluster.Name()).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("checking that no packet for a pod or service leaves the machine: %w\n%s", err, output)
	}
	s.finishErr = errors.Join(s.finishErr, err)
	return ctx, err
}

func (s *suite) target() apply.Target { return apply.On(s.cluster) }

func (s *suite) controlPlane() *cluster.Node { return s.cluster.ControlPlanes()[0] }

// worker is the last node: control planes come first.
func (s *suite) worker() *cluster.Node { return s.cluster.Nodes()[len(s.cluster.Nodes())-1] }

func (s *suite) podOn(t *testing.T, node *cluster.Node) workload.Pod {
	t.Helper()
	for _, pod := range s.pods {
		if pod.Node == node.Name() {
			return pod
		}
	}
	t.Fatalf("no pod on node %s", node.Name())
	return workload.Pod{}
}
