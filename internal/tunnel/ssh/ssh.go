// Package ssh says what carries apiservers' traffic to nodes through SSH: a server on every node, a proxy on each control
// plane, and what both are given as files. It is pure; what runs on nodes is in the packages below it.
//
// Kubernetes had such tunnels until 1.22. Theirs took any host key, and let the apiserver's user have a shell on nodes; these
// do neither. Apiservers find the proxy by their egress selection.
package ssh

import "time"

// The ports: that of servers unless another is declared, and those of health and metrics, which are on the loopback address
// alone.
const (
	DefaultPort      = 22
	ProxyHealthPort  = 8136
	ServerHealthPort = 8137
)

// User is whom proxies connect as. What they may do depends on their key alone.
const User = "kubecomm"

// Where the socket is that apiservers connect to: below a folder that every apiserver of kubeadm's has mounted already
// (Kubernetes v1.37.1, cmd/kubeadm/app/phases/controlplane/volumes.go). The keys are elsewhere, where no apiserver sees them.
const (
	SocketFolder = "/etc/kubernetes/pki/kubecomm/ssh"
	Socket       = SocketFolder + "/proxy.sock"
	FilesFolder  = "/etc/kubernetes/kubecomm/ssh"
)

// A server's files, on every node.
const (
	ServerFolder  = FilesFolder + "/server"
	ServerFile    = ServerFolder + "/" + ConfigName
	ServerKey     = ServerFolder + "/" + HostKeyName
	ServerRun     = "/run/kubecomm/ssh-server"
	ServerControl = ServerRun + "/" + ControlSocket
)

// A proxy's files, on control planes.
const (
	ProxyFolder  = FilesFolder + "/proxy"
	ProxyFile    = ProxyFolder + "/" + ConfigName
	ProxyKey     = ProxyFolder + "/" + ClientKeyName
	ProxyCA      = ProxyFolder + "/ca.crt"
	ProxyToken   = ProxyFolder + "/token"
	ProxyState   = "kubecomm-ssh-proxy" // of its own, under /var/lib/private, where it keeps the token that it renewed
	ProxyRun     = "/run/kubecomm/ssh-proxy"
	ProxyControl = ProxyRun + "/" + ControlSocket
)

// The names of the credentials that systemd passes on.
const (
	ConfigName    = "config.json"
	HostKeyName   = "host.key"
	ClientKeyName = "client.key"
)

// ControlSocket is what a socket is called by which root has a server or proxy take up other files. systemd passes
// credentials on once, when a program starts, and these programs are nobody who could read the files.
const ControlSocket = "control.sock"

// ProxyAccount is who a proxy is at the apiserver: it sees nodes, and renews its own token.
const ProxyAccount = "kubecomm-ssh-proxy"

// The limits of both ends.
const (
	// HandshakeLimit bounds the time from a connection to its being verified from both sides.
	HandshakeLimit = 5 * time.Second
	// KeepaliveInterval is how often each end asks the other whether it is there, and SilenceLimit how long it may say
	// nothing until its connection counts as cut.
	KeepaliveInterval = time.Second
	SilenceLimit      = 4 * time.Second
	// TargetLimit bounds a server's dial to what is on its node, and DialLimit all of what an apiserver waits for: it has no
	// limit of its own while it waits for a proxy's answer (Kubernetes v1.37.1,
	// staging/src/k8s.io/apiserver/pkg/server/egressselector/egress_selector.go, tunnelHTTPConnect).
	TargetLimit = 5 * time.Second
	DialLimit   = 10 * time.Second
	// DrainLimit is how long what is open stays on a connection that another has replaced.
	DrainLimit = 10 * time.Minute
	// ForwardLimit is how many forwards a server has open at once, and ConnectionLimit a proxy. Each may hold 2 MiB while
	// who is to read doesn't, which is the window of a channel (golang.org/x/crypto v0.54.0, ssh/channel.go): all of them
	// together still fit into what the units let them have.
	ForwardLimit    = 512
	ConnectionLimit = 1024
)
