// Package apply brings a cluster from what was observed to what was declared. Observe looks at what really runs;
// Plan turns the difference into ordered steps, which are data; Apply runs them, each verified before the next;
// Restore puts back what was there before.
package apply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

var (
	// ErrNodeDown says that a node's container isn't running, so it can be neither observed nor changed.
	ErrNodeDown = errors.New("the node isn't running")

	// ErrAPIUnavailable says that an apiserver doesn't run, or doesn't answer as ready.
	ErrAPIUnavailable = errors.New("the Kubernetes API doesn't answer")
)

// Node is what this package needs of a cluster's node. *cluster.Node has it.
type Node interface {
	Name() string
	Role() cluster.Role
	Addresses() []netip.Addr
	Run(ctx context.Context, command cluster.Command) ([]byte, error)
	ReadFile(ctx context.Context, path string) (cluster.File, error)
	ReadFiles(ctx context.Context, paths ...string) (map[string]cluster.File, error)
	WriteFile(ctx context.Context, path string, file cluster.File) error
	Remove(ctx context.Context, path string) error
	Dial(ctx context.Context, address string) (net.Conn, error)
	Attach(ctx context.Context, command cluster.Command) (cluster.Stream, error)
}

// Target is the cluster to work on.
type Target struct {
	Name  string
	Nodes []Node // control planes first

	// Admin returns the credentials of the cluster's administrator. Its address is not used: every apiserver is
	// addressed by itself, from within its node.
	Admin func(ctx context.Context) (*rest.Config, error)
}

// On makes a target of a cluster.
func On(c *cluster.Cluster) Target {
	target := Target{Name: c.Name(), Admin: once(c.AdminConfig)}
	for _, node := range c.Nodes() {
		target.Nodes = append(target.Nodes, node)
	}
	return target
}

// once keeps the credentials that were read first: they stay valid while an apply lasts, and reading them takes time.
func once(read func(context.Context) (*rest.Config, error)) func(context.Context) (*rest.Config, error) {
	var mu sync.Mutex
	var held *rest.Config
	return func(ctx context.Context) (*rest.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if held != nil {
			return held, nil
		}
		config, err := read(ctx)
		if err == nil {
			held = config
		}
		return config, err
	}
}

func (t Target) controlPlanes() []Node {
	var found []Node
	for _, node := range t.Nodes {
		if node.Role() == cluster.ControlPlane {
			found = append(found, node)
		}
	}
	return found
}

func (t Target) node(name string) (Node, error) {
	for _, node := range t.Nodes {
		if node.Name() == name {
			return node, nil
		}
	}
	return nil, fmt.Errorf("cluster %s has no node %s", t.Name, name)
}

// check finds what would make every later step fail: no control plane, a node that is down.
func (t Target) check() error {
	if len(t.controlPlanes()) == 0 {
		return fmt.Errorf("cluster %s has no control-plane node", t.Name)
	}
	for _, node := range t.Nodes {
		if len(node.Addresses()) == 0 {
			return fmt.Errorf("node %s of cluster %s: %w", node.Name(), t.Name, ErrNodeDown)
		}
	}
	return nil
}
