package ssh

import (
	_ "embed" // the units
	"net/netip"
	"slices"
	"strings"
)

// The names of the units, and where they go.
const (
	ServerService = "kubecomm-ssh-server.service"
	ServerSocket  = "kubecomm-ssh-server.socket"
	ProxyService  = "kubecomm-ssh-proxy.service"
	ProxySocket   = "kubecomm-ssh-proxy.socket"
	UnitFolder    = "/etc/systemd/system"
)

//go:embed kubecomm-ssh-server.service
var serverService []byte

//go:embed kubecomm-ssh-server.socket
var serverSocket string

//go:embed kubecomm-ssh-proxy.service
var proxyService []byte

//go:embed kubecomm-ssh-proxy.socket
var proxySocket []byte

// Unit is one of systemd's.
type Unit struct {
	Name string // of the file as well
	Data []byte
}

// Path is where it goes.
func (u Unit) Path() string { return UnitFolder + "/" + u.Name }

// ServerUnits run a server that listens at a node's addresses. The socket is systemd's, so that who has it need not be root.
func ServerUnits(addresses []netip.Addr, port uint16) []Unit {
	var listen []string
	for _, address := range addresses {
		listen = append(listen, "ListenStream="+netip.AddrPortFrom(address, port).String())
	}
	socket := strings.Replace(serverSocket, "ListenStream=@ADDRESS@", strings.Join(listen, "\n"), 1)
	return []Unit{{ServerSocket, []byte(socket)}, {ServerService, slices.Clone(serverService)}}
}

// ProxyUnits run a proxy.
func ProxyUnits() []Unit {
	return []Unit{{ProxySocket, slices.Clone(proxySocket)}, {ProxyService, slices.Clone(proxyService)}}
}

// PortOf reads from a server's socket unit at which port it listens; 0 if it doesn't say.
func PortOf(socket []byte) uint16 {
	for line := range strings.Lines(string(socket)) {
		text, found := strings.CutPrefix(strings.TrimSpace(line), "ListenStream=")
		if at, err := netip.ParseAddrPort(text); found && err == nil {
			return at.Port()
		}
	}
	return 0
}
