package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	kind "sigs.k8s.io/kind/pkg/cluster"
	kindexec "sigs.k8s.io/kind/pkg/exec"
)

// Engine is the machine's container engine, found as the kind command finds it.
type Engine struct {
	found    atomic.Value // the client's name (string), once it is known
	creating sync.Map     // names of clusters whose creation is under way
}

// NewEngine returns the engine. It does not talk to it yet: each call finds out for itself whether it answers, because
// an engine may be started or stopped while Terraform runs.
func NewEngine() *Engine { return &Engine{} }

// List returns the names of all kind clusters, or an error that wraps ErrEngineUnavailable.
func (e *Engine) List(ctx context.Context) ([]string, error) {
	_, names, err := e.connect(ctx)
	return names, err
}

// Open finds a running or stopped cluster by its name. Its errors wrap ErrEngineUnavailable or ErrNotFound.
func (e *Engine) Open(ctx context.Context, name string) (*Cluster, error) {
	provider, err := e.provider(ctx)
	if err != nil {
		return nil, err
	}
	containers, err := provider.ListNodes(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrEngineUnavailable, outputOf(err))
	}
	if len(containers) == 0 {
		names, err := e.List(ctx)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s (the engine has: %s)", ErrNotFound, name, listOr(names, "none"))
	}
	all, err := e.inspect(ctx, containers)
	if err != nil {
		return nil, fmt.Errorf("inspecting the nodes of cluster %s: %w", name, err)
	}
	c := &Cluster{name: name, provider: provider}
	for _, node := range all {
		if node.role == ControlPlane || node.role == Worker {
			c.nodes = append(c.nodes, node)
		}
	}
	slices.SortFunc(c.nodes, compareNodes)
	return c, nil
}

// connect returns kind's provider and the names of all clusters, which proves that the engine answers.
func (e *Engine) connect(ctx context.Context, options ...kind.ProviderOption) (*kind.Provider, []string, error) {
	provider, err := e.provider(ctx, options...)
	if err != nil {
		return nil, nil, err
	}
	names, err := provider.List()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrEngineUnavailable, outputOf(err))
	}
	return provider, names, nil
}

func (e *Engine) provider(ctx context.Context, options ...kind.ProviderOption) (*kind.Provider, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	runtime := kind.ProviderWithNerdctl(client)
	switch client {
	case "docker":
		runtime = kind.ProviderWithDocker()
	case "podman":
		runtime = kind.ProviderWithPodman()
	}
	return kind.NewProvider(append(options, runtime)...), nil
}

// compareNodes puts control planes first, and then goes by name.
func compareNodes(a, b *Node) int {
	if a.role != b.role {
		if a.role == ControlPlane {
			return -1
		}
		return 1
	}
	return strings.Compare(a.name, b.name)
}

// outputOf says why an engine command failed: what it printed, or else the error.
func outputOf(err error) string {
	if run := kindexec.RunErrorForError(err); run != nil {
		if output := strings.TrimSpace(string(run.Output)); output != "" {
			return output
		}
	}
	return err.Error()
}

func listOr(names []string, empty string) string {
	if len(names) == 0 {
		return empty
	}
	return strings.Join(names, ", ")
}
