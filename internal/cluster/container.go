package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// Container is how the engine saw a node when the cluster was opened.
type Container struct {
	Image string // as it was named when the node was created, "" if the engine doesn't tell
	State string // such as "running", "exited" or "paused"
}

// Running says whether commands can be run in the container.
func (c Container) Running() bool { return c.State == "running" }

// roleLabel is on every container of kind's (v0.33.0, pkg/cluster/internal/providers/common/constants.go).
const roleLabel = "io.x-k8s.kind.role"

// inspected is the part of an engine's description of a container that all engines share.
type inspected struct {
	Name   string
	State  struct{ Status string }
	Config struct {
		Image  string
		Labels map[string]string
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress, GlobalIPv6Address string }
	}
}

// inspect asks the engine for all containers at once: kind's library would ask several times for each.
func (e *Engine) inspect(ctx context.Context, containers []nodes.Node) ([]*Node, error) {
	args := []string{"inspect", "--type=container"}
	for _, container := range containers {
		args = append(args, container.String())
	}
	output, err := e.command(ctx, args...)
	if err != nil {
		return nil, err
	}
	var all []inspected
	if err := json.Unmarshal([]byte(output), &all); err != nil {
		return nil, fmt.Errorf("what the engine says of them: %w", err)
	}
	byName := map[string]inspected{}
	for _, one := range all {
		byName[strings.TrimPrefix(one.Name, "/")] = one // Docker writes names with a slash in front
	}
	var found []*Node
	for _, container := range containers {
		one, said := byName[container.String()]
		if !said {
			return nil, fmt.Errorf("the engine said nothing of %s", container)
		}
		found = append(found, newNode(container, one))
	}
	return found, nil
}

func newNode(container nodes.Node, as inspected) *Node {
	node := &Node{
		name: container.String(), role: Role(as.Config.Labels[roleLabel]), engine: container,
		container: Container{Image: as.Config.Image, State: as.State.Status},
	}
	node.shell.start = node.startShell
	var ipv6 []netip.Addr
	networks := as.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if address, err := netip.ParseAddr(networks[name].IPAddress); err == nil {
			node.addresses = append(node.addresses, address)
		}
		if address, err := netip.ParseAddr(networks[name].GlobalIPv6Address); err == nil {
			ipv6 = append(ipv6, address)
		}
	}
	node.addresses = append(node.addresses, ipv6...)
	return node
}
