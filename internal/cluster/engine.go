package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/constants"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	kindexec "sigs.k8s.io/kind/pkg/exec"
)

// Engine is the machine's container engine, found as the kind command finds it.
type Engine struct {
	creating sync.Map // names of clusters whose creation is under way
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
	provider, names, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("%w: %s (the engine has: %s)", ErrNotFound, name, listOr(names, "none"))
	}
	containers, err := provider.ListNodes(name)
	if err != nil {
		return nil, fmt.Errorf("%w: listing the nodes of cluster %s: %s", ErrEngineUnavailable, name, outputOf(err))
	}
	c := &Cluster{name: name, provider: provider}
	for _, container := range containers {
		node, err := newNode(container)
		if err != nil {
			return nil, fmt.Errorf("inspecting container %s of cluster %s: %w", container, name, err)
		}
		switch node.role {
		case ControlPlane, Worker:
			c.nodes = append(c.nodes, node)
		}
	}
	slices.SortFunc(c.nodes, compareNodes)
	return c, nil
}

// connect returns kind's provider and the names of all clusters, which proves that the engine answers.
func (e *Engine) connect(ctx context.Context, options ...kind.ProviderOption) (*kind.Provider, []string, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	runtime, err := runtimeOption()
	if err != nil {
		return nil, nil, err
	}
	provider := kind.NewProvider(append(options, runtime)...)
	names, err := provider.List()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrEngineUnavailable, outputOf(err))
	}
	return provider, names, nil
}

// runtimeOption chooses the engine as the kind command does: by KIND_EXPERIMENTAL_PROVIDER, else by looking for one.
// Upstream: kind v0.33.0, pkg/internal/runtime/runtime.go, which is internal to it.
func runtimeOption() (kind.ProviderOption, error) {
	switch name := os.Getenv("KIND_EXPERIMENTAL_PROVIDER"); name {
	case "docker":
		return kind.ProviderWithDocker(), nil
	case "podman":
		return kind.ProviderWithPodman(), nil
	case "nerdctl", "finch", "nerdctl.lima":
		return kind.ProviderWithNerdctl(name), nil
	}
	option, err := kind.DetectNodeProvider()
	if err != nil {
		return nil, fmt.Errorf("%w: neither docker, nerdctl nor podman was found: %w", ErrEngineUnavailable, err)
	}
	return option, nil
}

func newNode(container nodes.Node) (*Node, error) {
	role, err := container.Role()
	if err != nil {
		return nil, fmt.Errorf("reading its role: %s", outputOf(err))
	}
	node := &Node{name: container.String(), role: Role(role), container: container}
	node.shell.start = node.startShell
	if role == constants.ExternalLoadBalancerNodeRoleValue {
		return node, nil
	}
	ipv4, ipv6, err := container.IP()
	if err != nil {
		return nil, fmt.Errorf("reading its addresses: %s", outputOf(err))
	}
	for _, text := range []string{ipv4, ipv6} {
		if address, err := netip.ParseAddr(text); err == nil {
			node.addresses = append(node.addresses, address)
		}
	}
	return node, nil
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
