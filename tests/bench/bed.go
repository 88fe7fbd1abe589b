package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

const (
	createLimit = 8 * time.Minute
	deleteLimit = 2 * time.Minute
	readyLimit  = 3 * time.Minute
)

// bed is the cluster that is measured on.
type bed struct {
	engine   *cluster.Engine
	ipFamily string
	cluster  *cluster.Cluster
	config   *rest.Config
	client   kubernetes.Interface
	clients  int // how many ask steadily, once they are deployed
}

// buildObserver returns the program that runs in pods.
func buildObserver(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "kubecomm-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "inpod")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program,
		"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/inpod")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the observer that runs in pods: %w\n%s", err, output)
	}
	return os.ReadFile(program)
}

func newBed(ctx context.Context, o options) (*bed, error) {
	limited, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	spec := cluster.Spec{
		Name:       "kubecomm-bench-" + strings.ToLower(rand.Text()[:6]),
		NodeImage:  os.Getenv(nodeImageVariable),
		Nodes:      slices.Repeat([]cluster.NodeSpec{{Role: cluster.ControlPlane}}, o.controlPlanes),
		Networking: cluster.Networking{IPFamily: o.ipFamily},
	}
	spec.Nodes = append(spec.Nodes, cluster.NodeSpec{Role: cluster.Worker})
	b := &bed{engine: cluster.NewEngine(), ipFamily: o.ipFamily}
	var err error
	if b.cluster, err = b.engine.Create(limited, spec, cluster.CreateOptions{WaitForReady: true}); err != nil {
		return nil, err
	}
	if b.config, err = b.cluster.RESTConfig(ctx); err == nil {
		b.client, err = kubernetes.NewForConfig(b.config)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (the cluster: %w)", err, b.delete(ctx))
	}
	return b, nil
}

func (b *bed) delete(ctx context.Context) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	return b.engine.Delete(limited, b.cluster.Name(), "")
}

// worker is the last node: control planes come first.
func (b *bed) worker() *cluster.Node { return b.cluster.Nodes()[len(b.cluster.Nodes())-1] }
