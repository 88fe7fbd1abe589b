package tunnel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// ends are what the ends of a cluster's tunnels say of themselves and each other, by node.
type ends struct {
	proxies map[string]proxy.Status
	servers map[string]server.Status
}

func sshConnections(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	found, err := askEnds(ctx, s, e)
	if err != nil {
		return err
	}
	return found.problems()
}

func askEnds(ctx context.Context, s *suite.Subject, e *suite.Evidence) (ends, error) {
	found := ends{map[string]proxy.Status{}, map[string]server.Status{}}
	controlPlanes, err := s.ControlPlanes()
	if err != nil {
		return found, err
	}
	for _, node := range controlPlanes {
		if found.proxies[node.Name], err = askStatus[proxy.Status](ctx, s, e, node, ssh.ProxyHealthPort, "/readyz"); err != nil {
			return found, err
		}
	}
	for _, node := range s.Nodes {
		if found.servers[node.Name], err = askStatus[server.Status](ctx, s, e, node, ssh.ServerHealthPort, "/healthz"); err != nil {
			return found, err
		}
	}
	return found, nil
}

// problems say on what the ends don't agree.
func (found ends) problems() error {
	var problems []error
	controlPlanes := slices.Sorted(maps.Keys(found.proxies))
	for _, node := range slices.Sorted(maps.Keys(found.servers)) {
		server := found.servers[node]
		if owners := slices.Sorted(maps.Keys(server.Authorized)); !slices.Equal(owners, controlPlanes) {
			problems = append(problems, fmt.Errorf("the server of node %s lets in the keys of %s, and the control planes are %s",
				node, strings.Join(owners, ", "), strings.Join(controlPlanes, ", ")))
		}
		for _, from := range controlPlanes {
			if err := connection(from, found.proxies[from], node, server); err != nil {
				problems = append(problems, fmt.Errorf("from control plane %s to node %s: %w", from, node, err))
			}
		}
	}
	return errors.Join(problems...)
}

// connection says why a proxy isn't connected to a node's server by the keys that both have.
func connection(from string, has proxy.Status, node string, server server.Status) error {
	i := slices.IndexFunc(has.Nodes, func(peer proxy.NodeStatus) bool { return peer.Name == node })
	if i < 0 {
		return errors.New("the proxy doesn't know the node")
	}
	switch peer := has.Nodes[i]; {
	case peer.OtherHostKey != "":
		return fmt.Errorf("the node showed host key %s, which isn't pinned", peer.OtherHostKey)
	case !peer.Connected:
		return fmt.Errorf("the proxy isn't connected: %s", peer.Error)
	case peer.HostKey == "" || peer.HostKey != server.HostKey:
		return fmt.Errorf("the proxy takes host key %s for the node's, and the server's is %s", peer.HostKey, server.HostKey)
	case peer.Key == "" || peer.Key != has.Key:
		return fmt.Errorf("the proxy was let in by key %s, and has %s", peer.Key, has.Key)
	case !slices.Contains(server.Authorized[from], has.Key):
		return fmt.Errorf("the proxy's key is %s, and the server lets in %s", has.Key, strings.Join(server.Authorized[from], ", "))
	case server.Connected[from] == 0:
		return errors.New("the proxy says that it is connected, and the server knows of no connection")
	}
	return nil
}
