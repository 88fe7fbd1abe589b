package tunnel

import (
	"context"
	"fmt"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// kind is what one kind of tunnel is known by, beside what all have in common.
type kind struct {
	mode settings.TunnelMode
	// whole says what an observation of a cluster with the tunnel lacks; nil if nothing.
	whole func(*lab, apply.Observation) error
	// dials are the connections that were counted so far, by metric, besides the apiserver's own.
	dials  func(context.Context, *lab) (map[string]int, error)
	causes func(*lab) []cause
	// port is what control planes begin connections with at nodes, and anew has a control plane begin them again, for others to
	// see; nil where it is nodes that begin them.
	port func(*lab) uint16
	anew func(context.Context, *lab) error
}

var (
	none           = kind{mode: settings.NoTunnel}
	byKonnectivity = kind{
		mode: settings.Konnectivity, whole: (*lab).allAgents, causes: (*lab).konnectivityCauses,
		dials: func(ctx context.Context, l *lab) (map[string]int, error) { return l.konnectivityDials(ctx) },
	}
	bySSH = kind{
		mode: settings.SSH, whole: (*lab).allServers, causes: (*lab).sshCauses, port: (*lab).sshPort,
		dials: func(ctx context.Context, l *lab) (map[string]int, error) { return l.sshDials(ctx) },
		anew:  func(ctx context.Context, l *lab) error { return l.reconnect(ctx) },
	}
)

// port is the one of the worker that leads into the tunnel; 0 if none does.
func (l *lab) port() uint16 {
	if l.kind.port == nil {
		return 0
	}
	return l.kind.port(l)
}

func (l *lab) sshPort() uint16 {
	if l.ssh.Port != 0 {
		return l.ssh.Port
	}
	return ssh.DefaultPort
}

// allAgents expects that every node has an agent at every server.
func (l *lab) allAgents(observed apply.Observation) error {
	for _, node := range l.cluster.ControlPlanes() {
		if agents := observed.AgentsOf(node.Name()); len(agents) != len(l.cluster.Nodes()) {
			return fmt.Errorf("the server of node %s has agents of %v only", node.Name(), agents)
		}
	}
	return nil
}

// allServers expects that every node has a server, and every control plane a proxy that is connected to all of them.
func (l *lab) allServers(observed apply.Observation) error {
	for _, node := range observed.Nodes {
		if err := observed.SSHServerProblem(node); err != nil {
			return fmt.Errorf("the server of node %s: %w", node.Name, err)
		}
		if node.SSH.Port != l.sshPort() {
			return fmt.Errorf("the server of node %s is at port %d, not %d", node.Name, node.SSH.Port, l.sshPort())
		}
		if node.APIServer == nil {
			continue
		}
		if err := observed.SSHProxyProblem(node); err != nil {
			return fmt.Errorf("the proxy of node %s: %w", node.Name, err)
		}
		if nodes := len(node.SSH.Proxy.Status.Nodes); nodes != len(l.cluster.Nodes()) {
			return fmt.Errorf("the proxy of node %s knows %d nodes, not %d", node.Name, nodes, len(l.cluster.Nodes()))
		}
	}
	return nil
}
