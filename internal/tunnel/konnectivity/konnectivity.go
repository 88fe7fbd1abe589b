// Package konnectivity says what carries apiservers' traffic to nodes through Konnectivity, upstream's tunnel: a server on
// each control plane, agents on every node, and what both need of the cluster. It is pure: it returns files and objects.
package konnectivity

import (
	"net/netip"
	"strings"
	"time"
)

// The names that upstream gives what it installs (Kubernetes v1.37.1, cluster/gce/addons/konnectivity-agent). Who has
// Konnectivity already has these, and can't have a second one beside it.
const (
	Namespace    = "kube-system"
	ServerName   = "konnectivity-server"
	AgentAccount = "konnectivity-agent"
	// ServerUser is who a server is at the apiserver, and Audience whom agents' tokens are for.
	ServerUser = "system:konnectivity-server"
	Audience   = "system:konnectivity-server"
)

// The ports of a server. Health and administration are on the loopback address alone, because both tell metrics.
const (
	AgentPort  = 8132
	AdminPort  = 8133
	HealthPort = 8134
)

// AgentHealthPort is the first of agents' ports, two for each container: the first container tells health and metrics there.
const AgentHealthPort = 8140

// AgentConnectionsMetric is how many servers an agent is connected to (apiserver-network-proxy v0.36.0,
// pkg/agent/metrics/metrics.go).
const AgentConnectionsMetric = "konnectivity_network_proxy_agent_open_server_connections"

const loopback = "127.0.0.1"

// Flags that are read back from what runs.
const (
	keepaliveFlag   = "--keepalive-time"
	identifiersFlag = "--agent-identifiers"
)

// Where a server's files are on its control plane. Its socket is below a folder that every apiserver of kubeadm's has mounted
// already (Kubernetes v1.37.1, cmd/kubeadm/app/phases/controlplane/volumes.go): to connect to a socket, a mount may be
// read-only. So an apiserver needs no volume of its own, and takes the tunnel up, or gives it up, by a flag alone. The keys
// are elsewhere, where no apiserver sees them.
const (
	SocketFolder = "/etc/kubernetes/pki/kubecomm/konnectivity"
	Socket       = SocketFolder + "/server.sock"
	FilesFolder  = "/etc/kubernetes/kubecomm/konnectivity"
	CACert       = FilesFolder + "/ca.crt"
	CAKey        = FilesFolder + "/ca.key"
	ServingCert  = FilesFolder + "/serving/tls.crt"
	ServingKey   = FilesFolder + "/serving/tls.key"
	ClientCert   = FilesFolder + "/serving/client.crt"
	ClientKey    = FilesFolder + "/serving/client.key"
	ClusterCA    = FilesFolder + "/serving/cluster-ca.crt"
	Kubeconfig   = FilesFolder + "/serving/kubeconfig"
	Manifest     = "/etc/kubernetes/manifests/" + ServerName + ".yaml"
)

// servingFolder is what a server sees of its files: not the key of the CA.
const servingFolder = FilesFolder + "/serving"

// Server is a control plane's.
type Server struct {
	Node    string
	Address netip.Addr // at which agents find it
	CA      []byte     // in PEM, of its serving certificate
}

// ServingName is the name, besides the control plane's own and its addresses, of every server's serving certificate.
const ServingName = ServerName + "." + Namespace + ".svc"

// Options are what a declaration makes of a tunnel.
type Options struct {
	Images Images
	// Keepalive is how long a connection between agent and server is silent until each asks whether the other is there.
	Keepalive time.Duration
	// Identifiers are those of every agent besides its node's address.
	Identifiers []string
	// ServerCount is how agents know how many servers there are; empty for PerServer.
	ServerCount ServerCount
	// TLSMinVersion is the oldest version of TLS that servers accept from agents; empty for their default.
	TLSMinVersion string
}

// ServerCount is how agents know how many servers there are, to be connected to each of them.
type ServerCount string

const (
	// PerServer has each agent have a container for each server, which connects to that server's own address.
	PerServer ServerCount = "per_server"
	// Leases has each agent connect to what is behind the Service, until it has met as many servers as have leases.
	Leases ServerCount = "leases"
)

// The bounds of Options.Keepalive. Servers cut off who asks more often than every 30 s (apiserver-network-proxy v0.36.0,
// cmd/server/app/server.go, runAgentServer).
const (
	DefaultKeepalive = time.Minute
	MinKeepalive     = 40 * time.Second
	MaxKeepalive     = time.Hour
)

// EveryServer is the name of the container that an agent is where it connects to all servers by itself.
const EveryServer = "to-servers"

// ContainerName is the name of the container of each agent that is connected to a server.
func (s Server) ContainerName() string { return "to-" + strings.ReplaceAll(s.Node, ".", "-") }

func labels(app string) map[string]string {
	return map[string]string{"k8s-app": app, "app.kubernetes.io/managed-by": "kubecomm"}
}

func (o Options) keepalive() time.Duration {
	if o.Keepalive == 0 {
		return DefaultKeepalive
	}
	return o.Keepalive
}
