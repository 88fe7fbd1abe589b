package cluster

import (
	"fmt"
	"net/netip"
)

// engineChoosesPort is the port number that leaves the choice to the container engine; 0 leaves it to kind.
const engineChoosesPort = -1

func portProblems(at Path, port int32) []Problem {
	if port < engineChoosesPort || port > 65535 {
		return []Problem{{at, fmt.Sprintf("%d is not a port number: those are 1 to 65535, or -1 for one that the container "+
			"engine chooses at each start.", port)}}
	}
	return nil
}

func (m PortMapping) problems(at Path) []Problem {
	problems := portProblems(at.at("host_port"), m.HostPort)
	problems = append(problems, PortProtocols.problem(at.at("protocol"), m.Protocol)...)
	if m.ContainerPort < 0 || m.ContainerPort > 65535 {
		problems = append(problems, Problem{at.at("container_port"), fmt.Sprintf("%d is not a port number: those are 1 to "+
			"65535.", m.ContainerPort)})
	}
	if m.ListenAddress != "" {
		if _, err := netip.ParseAddr(m.ListenAddress); err != nil {
			problems = append(problems, Problem{at.at("listen_address"), fmt.Sprintf("%q is not an IP address.",
				m.ListenAddress)})
		}
	}
	return problems
}

// binding is a port of the machine that a node or kind's load balancer takes.
type binding struct {
	path     Path
	address  netip.Addr
	port     int32
	protocol string
}

func (b binding) clashes(other binding) bool {
	if b.port != other.port || b.protocol != other.protocol {
		return false
	}
	// A wildcard address takes the port at every address. Engines bind both families for either wildcard.
	return b.address.IsUnspecified() || other.address.IsUnspecified() || b.address == other.address
}

func (b binding) String() string {
	return fmt.Sprintf("%s port %d at %s", b.protocol, b.port, b.address)
}

// hostPortProblems finds ports that are declared twice, on one node or on different ones: kind looks at each node alone
// and leaves the rest to the engine, which fails half way.
func hostPortProblems(nodes []NodeSpec, network Networking) []Problem {
	var taken []binding
	if network.APIServerPort > 0 {
		address := network.APIServerAddress
		if address == "" {
			address = "127.0.0.1"
		}
		taken = appendBinding(taken, Path{"networking", "api_server_port"}, PortMapping{
			ListenAddress: address, HostPort: network.APIServerPort,
		})
	}
	var problems []Problem
	for i, node := range nodes {
		for j, mapping := range node.ExtraPortMappings {
			at := Path{"nodes", i, "extra_port_mappings", j, "host_port"}
			before := len(taken)
			taken = appendBinding(taken, at, mapping)
			for _, mine := range taken[before:] {
				for _, other := range taken[:before] {
					if mine.clashes(other) {
						problems = append(problems, Problem{at, fmt.Sprintf("%s is already taken by %s.", mine, other.path)})
					}
				}
			}
		}
	}
	return problems
}

// appendBinding leaves out ports that are chosen at creation.
func appendBinding(bindings []binding, at Path, mapping PortMapping) []binding {
	if mapping.HostPort <= 0 {
		return bindings
	}
	address := netip.IPv4Unspecified()
	if mapping.ListenAddress != "" {
		parsed, err := netip.ParseAddr(mapping.ListenAddress)
		if err != nil {
			return bindings
		}
		address = parsed.Unmap()
	}
	protocol := mapping.Protocol
	if protocol == "" {
		protocol = "TCP"
	}
	return append(bindings, binding{at, address, mapping.HostPort, protocol})
}
