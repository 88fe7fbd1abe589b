package cluster

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kind "sigs.k8s.io/kind/pkg/cluster"
)

// Cluster is a kind cluster as it was found by Engine.Open: its nodes and addresses don't follow later changes.
type Cluster struct {
	name     string
	provider *kind.Provider
	nodes    []*Node
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Nodes returns all nodes, control planes first. kind's load balancer is not among them.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// ControlPlanes returns the nodes that run an apiserver.
func (c *Cluster) ControlPlanes() []*Node {
	var found []*Node
	for _, node := range c.nodes {
		if node.role == ControlPlane {
			found = append(found, node)
		}
	}
	return found
}

// Kubeconfig returns a kubeconfig with the cluster administrator's credentials that works on this machine, outside the
// cluster.
func (c *Cluster) Kubeconfig(_ context.Context) ([]byte, error) {
	text, err := c.provider.KubeConfig(c.name, false)
	if err != nil {
		// What the failed command printed is left out: it may be half a kubeconfig.
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s from its control plane: %w", c.name, err)
	}
	return []byte(text), nil
}

// RESTConfig returns a client configuration that reaches the API from outside the cluster, as its administrator.
func (c *Cluster) RESTConfig(ctx context.Context) (*rest.Config, error) {
	kubeconfig, err := c.Kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.name, err)
	}
	return config, nil
}
