package settings

import (
	"strconv"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

const (
	toNodes = "apiserver → kubelets, nodes, pods and services: logs, exec, attach, port-forward, the proxy, webhooks and " +
		"aggregated APIs"
	reconnects = "servers are replaced, and agents after them; what goes through the tunnel at that moment ends"

	tunnelledBy     = "DaemonSets `konnectivity-agent` and `konnectivity-agent-control-plane` of namespace `kube-system`"
	tunnelledByBoth = "`/etc/kubernetes/manifests/konnectivity-server.yaml` on every control plane, and " + tunnelledBy
	tunnelSeenBy    = "the manifests, whether servers say that they are healthy, the DaemonSets, and for each server, how many " +
		"agents say that they are connected to it"

	sshServers = "`" + ssh.ServerFolder + "` and `" + ssh.UnitFolder + "/" + ssh.ServerSocket + "` on every node"
	sshSeenBy  = "files by their digests, keys by what they say of themselves, systemd's units, and what servers and proxies say " +
		"of how they are and to whom they are connected"
)

// tunnelTable lists the settings of what carries traffic from control planes to nodes.
func tunnelTable() []Setting {
	newest := konnectivity.Images{}.OrDefault(NewestMinor)
	const pinned = " The default is the version that the cluster's version of Kubernetes pins."
	return []Setting{
		{
			Name: NameTunnelMode,
			Meaning: "What carries the traffic of apiservers to kubelets, nodes, pods and services, by an " +
				"`EgressSelectorConfiguration`. `konnectivity`: a server on each control plane, to which agents on every node " +
				"connect; nodes then need not be reachable from control planes at all. `ssh`: a proxy on each control plane, that " +
				"connects to a server on every node by SSH; nodes then need to be reachable at one port alone. `none`: apiservers " +
				"connect by themselves, whatever was there before. Kubelets are verified through a tunnel as without one.",
			Protects:    toNodes,
			TakesEffect: swaps + ", once every node is connected; sessions that are under way end",
			Document:    egressFlag,
			Form:        Text,
			check:       checkMode,
		},
		{
			Name: NameServerImage,
			Meaning: "The image of servers." + pinned + " Before v0.35.0, servers accept TLS 1.2 whatever " +
				"`apiserver.tls_min_version` says.",
			Protects:    toNodes,
			TakesEffect: reconnects,
			lives:       tunnelledByBoth,
			observed:    tunnelSeenBy,
			Default:     newest.Server,
		},
		{
			Name:        NameAgentImage,
			Meaning:     "The image of agents." + pinned,
			Protects:    toNodes,
			TakesEffect: reconnects,
			lives:       tunnelledBy,
			observed:    tunnelSeenBy,
			Default:     newest.Agent,
		},
		{
			Name: NameImageArchives,
			Meaning: "Files where Terraform runs, as `docker save` writes them, with the images of servers and agents. Nodes that " +
				"lack one of the two are given what is in them before anything runs, and need no registry. A node that joins " +
				"later is given it by the next apply, or pulls the images.",
			lives:    "the image store of every node",
			observed: "the images that each node's container runtime has",
			Default:  declaredAsBefore,
		},
		{
			Name: NameKeepalive,
			Meaning: "How long a connection between an agent and a server may be silent until each asks whether the other is still " +
				"there, as a duration such as `1m`, from `40s` on: servers cut off who asks more often than every 30 s. A node " +
				"that goes down tells servers of it; this is for those that can't.",
			Protects:    toNodes,
			TakesEffect: reconnects,
			lives:       "`--keepalive-time` of servers and agents, in " + tunnelledByBoth,
			observed:    tunnelSeenBy,
			Default:     konnectivity.DefaultKeepalive.String(),
		},
		{
			Name: NameAgentIdentifiers,
			Meaning: "What servers choose agents by, besides the address of the agent's node, of which traffic for the node goes to " +
				"its own agent: each `KIND=VALUE`, where `KIND` is `ipv4`, `ipv6`, `host`, `cidr` or `default-route`. Every agent " +
				"has them; `$(NODE_NAME)` and `$(HOST_IP)` stand for its node. With `default-route=true`, traffic for pods and " +
				"services may go by control planes' own agents too; it is workers' alone where there are any.",
			Protects:    toNodes,
			TakesEffect: reconnects,
			lives:       "`--agent-identifiers` of agents, in " + tunnelledBy,
			observed:    tunnelSeenBy,
			Default:     declaredAsBefore,
		},
		{
			Name: NameServerCount,
			Meaning: "How agents come to be connected to the servers of all control planes. `per_server`: an agent has a container " +
				"for each, that connects to its address; it depends on nothing else, and a server that was away is found again " +
				"within two seconds. `leases`: servers have leases, which agents count, and agents connect to Service " +
				"`konnectivity-server` until they have met as many; that is one container however many control planes there are, " +
				"needs `kube-proxy` and DNS on every node, and finds a server that was away by chance, of three after some seconds.",
			Protects:    toNodes,
			TakesEffect: reconnects,
			lives: "the containers of agents, in " + tunnelledByBoth + ", and Roles and RoleBindings of namespace `kube-system` for " +
				"leases",
			observed: tunnelSeenBy,
			Default:  string(konnectivity.PerServer),
		},
		{
			Name:        NameSSHPort,
			Meaning:     "The port at which every node's SSH server listens, at the node's addresses.",
			Protects:    toNodes,
			TakesEffect: "servers listen there, and then proxies connect to it; what goes through the tunnel at that moment ends",
			lives:       sshServers,
			observed:    sshSeenBy,
			Default:     strconv.Itoa(ssh.DefaultPort),
		},
		{
			Name: NameSSHRotation,
			Meaning: "Any text, such as a date. When it changes, every node gets another host key, and every control plane another " +
				"key of its own; old ones are known until nobody uses them any more.",
			Protects:    toNodes,
			TakesEffect: "both ends take their keys up while they run; sessions that are under way go on",
			lives:       sshServers + "; `" + ssh.ProxyKey + "` on every control plane",
			observed:    sshSeenBy,
			Default:     declaredAsBefore,
		},
	}
}
