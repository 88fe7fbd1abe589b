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
	return c.restConfig(kubeconfig)
}

// adminFile is the administrator's kubeconfig on control planes (kind v0.33.0,
// pkg/cluster/internal/kubeconfig/internal/kubeconfig/helpers.go).
const adminFile = "/etc/kubernetes/admin.conf"

// AdminConfig returns the administrator's credentials, with an address that nodes alone can reach. That takes one command
// on a node, where RESTConfig takes a dozen of the engine's.
func (c *Cluster) AdminConfig(ctx context.Context) (*rest.Config, error) {
	nodes := c.ControlPlanes()
	if len(nodes) == 0 {
		return nil, fmt.Errorf("cluster %s has no control-plane node", c.name)
	}
	kubeconfig, err := nodes[0].ReadFile(ctx, adminFile)
	if err != nil {
		return nil, err
	}
	return c.restConfig(kubeconfig.Data)
}

func (c *Cluster) restConfig(kubeconfig []byte) (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.name, err)
	}
	return config, nil
}
