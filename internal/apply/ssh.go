package apply

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

// Keys are exchanged without a moment in which one end refuses the other. A new key waits beside the old one; servers let
// proxies in with either; proxies take theirs, and servers with either of their own; servers take theirs, and let proxies in
// with the new one alone; and proxies forget the servers' old ones. Each end takes its new key as soon as all that it meets say
// that they know it, so that where an apply ended in between, the next one goes on from there.

// sshServiceRange is the apiserver's flag for the ranges that services have addresses of.
const sshServiceRange = "service-cluster-ip-range"

// PortTakenError says that something else has the port that SSH servers are to have.
type PortTakenError struct {
	Node    string
	Port    uint16
	Program string // that has it
}

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("on node %s, %s listens at port %d", e.Node, e.Program, e.Port)
}

// checkPort returns a *PortTakenError for the first node on which something else has the declared port.
func checkPort(observed Observation, port uint16) error {
	for _, node := range observed.Nodes {
		if node.SSH.Server.Present() && node.SSH.Port == port {
			continue
		}
		if program, taken := node.SSH.Listeners[port]; taken {
			return &PortTakenError{Node: node.Name, Port: port, Program: program}
		}
	}
	return nil
}

// sshPort is the declared port, or the usual one.
func sshPort(want settings.Settings) uint16 {
	if want.Tunnel.SSH.Port != 0 {
		return want.Tunnel.SSH.Port
	}
	return ssh.DefaultPort
}

// serviceRanges are those that services have addresses of, as apiservers run with them.
func (o Observation) serviceRanges() []netip.Prefix {
	var found []netip.Prefix
	for _, node := range o.controlPlanes() {
		text, _ := node.APIServer.Running.Get(sshServiceRange)
		for part := range strings.SplitSeq(text, ",") {
			if cidr, err := netip.ParsePrefix(part); err == nil && !slices.Contains(found, cidr.Masked()) {
				found = append(found, cidr.Masked())
			}
		}
	}
	return found
}

// serverConfig is what a node's server is to be given: it lets every control plane in with the keys that this one has.
func (o Observation) serverConfig(node NodeObservation) ssh.ServerConfig {
	config := ssh.ServerConfig{
		Node: node.Name, Addresses: node.Addresses, PodCIDRs: o.PodCIDRs[node.Name], ServiceCIDRs: o.serviceRanges(),
		AuthorizedKeys: map[string][]string{},
	}
	for _, each := range o.controlPlanes() {
		config.AuthorizedKeys[each.Name] = each.SSH.Proxy.lines()
	}
	return config
}

// proxyConfig is what a control plane's proxy is to be given: it takes every node by the keys that this one has.
func (o Observation) proxyConfig(node NodeObservation, port uint16) ssh.ProxyConfig {
	apiPort, given := node.APIServer.Running.Get(securePortFlag)
	if !given {
		apiPort = defaultPort
	}
	config := ssh.ProxyConfig{
		Node: node.Name, Server: "https://127.0.0.1:" + apiPort, ServerName: serverName,
		Namespace: metav1.NamespaceSystem, ServiceAccount: ssh.ProxyAccount, ServiceCIDRs: o.serviceRanges(),
	}
	for _, each := range o.Nodes {
		config.Nodes = append(config.Nodes, ssh.Node{
			Name: each.Name, ControlPlane: each.APIServer != nil, Addresses: each.Addresses, PodCIDRs: o.PodCIDRs[each.Name],
			Port: port, HostKeys: each.SSH.Server.lines(),
		})
	}
	return config
}

// serverOf is how a node's server is to be, apart from the program.
func (o Observation) serverOf(node NodeObservation, port uint16) service {
	wanted := sshServer()
	wanted.files[ssh.ServerFile] = cluster.File{Data: o.serverConfig(node).Encode(), Mode: privateMode}
	for _, unit := range ssh.ServerUnits(node.Addresses, port) {
		wanted.files[unit.Path()] = cluster.File{Data: unit.Data, Mode: publicMode}
	}
	return wanted
}

// proxyOf is how a control plane's proxy is to be, apart from the program.
func (o Observation) proxyOf(node NodeObservation, port uint16) service {
	wanted := sshProxy()
	wanted.files[ssh.ProxyFile] = cluster.File{Data: o.proxyConfig(node, port).Encode(), Mode: privateMode}
	wanted.files[ssh.ProxyCA] = cluster.File{Data: o.ClusterCA, Mode: publicMode}
	return wanted
}

// serverProblem says why a node's server isn't as it is to be; nil if it is.
func (o Observation) serverProblem(node NodeObservation, port uint16) error {
	wanted := o.serverOf(node, port)
	if err := wanted.take(node.Machine); err != nil {
		return err
	}
	end := node.SSH.Server
	if err := wanted.problem(end.found); err != nil {
		return err
	}
	return end.behind("host key", serverTook)
}

// serverTook and proxyTook are the digest of the configuration, and the fingerprint of the key, that an end says it has.
func serverTook(status *server.Status) (config, key string) { return status.Config, status.HostKey }

func proxyTook(status *proxy.Status) (config, key string) { return status.Config, status.Key }

// behind says why an end doesn't run with what its files say; nil if it does.
func (e SSHEnd[S]) behind(keyName string, took func(*S) (config, key string)) error {
	if e.Status == nil {
		return fmt.Errorf("it doesn't say how it is: %w", e.StatusOf)
	}
	switch config, key := took(e.Status); {
	case config != ssh.Digest(e.Config):
		return errors.New("it hasn't taken its configuration up")
	case key != e.Key.Fingerprint():
		return fmt.Errorf("its %s is %s, to be %s", keyName, key, e.Key.Fingerprint())
	}
	return nil
}

// proxyProblem says why a control plane's proxy isn't as it is to be, or doesn't reach a node; nil if it is.
func (o Observation) proxyProblem(node NodeObservation, port uint16) error {
	wanted := o.proxyOf(node, port)
	if err := wanted.take(node.Machine); err != nil {
		return err
	}
	end := node.SSH.Proxy
	if err := wanted.problem(end.found); err != nil {
		return err
	}
	if err := end.behind("key", proxyTook); err != nil {
		return err
	}
	switch {
	case end.Status.APIError != "":
		return errors.New("it doesn't learn which nodes there are: " + end.Status.APIError)
	case !end.Status.FromAPI:
		return errors.New("it hasn't learned yet which nodes there are")
	}
	return o.connectionProblem(node)
}

// connectionProblem says which node a proxy isn't connected to, or by another key than it is to be; nil if there is none.
func (o Observation) connectionProblem(node NodeObservation) error {
	end := node.SSH.Proxy
	if end.Status == nil {
		return end.StatusOf
	}
	for _, peer := range o.Nodes {
		i := slices.IndexFunc(end.Status.Nodes, func(each proxy.NodeStatus) bool { return each.Name == peer.Name })
		if i < 0 {
			return fmt.Errorf("it doesn't know node %s", peer.Name)
		}
		known := end.Status.Nodes[i]
		switch hostKey := peer.SSH.Server.Key.Fingerprint(); {
		case known.OtherHostKey != "":
			return fmt.Errorf("node %s has shown host key %s, which isn't its own, %s", peer.Name, known.OtherHostKey, hostKey)
		case !known.Connected:
			return fmt.Errorf("it isn't connected to node %s: %s", peer.Name, known.Error)
		case known.HostKey != hostKey:
			return fmt.Errorf("it is connected to node %s by host key %s, to be %s", peer.Name, known.HostKey, hostKey)
		case known.Key != end.Key.Fingerprint():
			return fmt.Errorf("it is connected to node %s by its key %s, to be %s", peer.Name, known.Key, end.Key.Fingerprint())
		}
	}
	return nil
}

// keyProblem says why an end needs another key; empty if it doesn't.
func keyProblem[S any](end SSHEnd[S], generation string) string {
	switch {
	case end.Key.Line == "":
		return "it has no key"
	case generation == "":
		return ""
	case end.Next.Line != "" && end.Next.Generation == generation, end.Next.Line == "" && end.Key.Generation == generation:
		return ""
	}
	return fmt.Sprintf("another is asked for by %s = %q", settings.NameSSHRotation, generation)
}

// keysProblem says why a node needs other keys; empty if it doesn't.
func keysProblem(node NodeObservation, generation string) string {
	if problem := keyProblem(node.SSH.Server, generation); problem != "" {
		return problem
	}
	if node.APIServer != nil {
		return keyProblem(node.SSH.Proxy, generation)
	}
	return ""
}

// planSSH has a tunnel there and working before any apiserver is told of it.
func planSSH(observed Observation, want settings.Settings) []Step {
	if want.Tunnel.Mode != settings.SSH || observed.PodCIDRs == nil {
		return nil // what the API doesn't tell is not known, and the apiservers' own step then finds out
	}
	var steps []Step
	if access := observed.ProxyAccess; access.Problem != "" {
		steps = append(steps, Step{AllowSSHProxy, observed.Nodes[0].Name, access.Problem})
	}
	// What is to be made on one node is for the others to know.
	var newHostKey, newClientKey, exchange string
	for _, node := range observed.Nodes {
		end, client := node.SSH.Server, node.SSH.Proxy
		if problem := keysProblem(node, want.Tunnel.SSH.KeyGeneration); problem != "" {
			steps = append(steps, Step{MakeSSHKeys, node.Name, problem})
			reason := "node " + node.Name + " gets a key"
			if end.Key.Line == "" {
				newHostKey = reason
			}
			if node.APIServer != nil && client.Key.Line == "" {
				newClientKey = reason
			}
			if end.Key.Line != "" && keyProblem(end, want.Tunnel.SSH.KeyGeneration) != "" ||
				node.APIServer != nil && client.Key.Line != "" && keyProblem(client, want.Tunnel.SSH.KeyGeneration) != "" {
				exchange = "the keys of node " + node.Name + " are exchanged"
			}
		}
		if end.Next.Mode != "" || client.Next.Mode != "" {
			exchange = "the keys of node " + node.Name + " are exchanged"
		}
	}
	port := sshPort(want)
	ends := func(of []NodeObservation, kind Kind, reason string, problem func(NodeObservation, uint16) error) {
		for _, node := range of {
			why := reason
			if err := problem(node, port); err != nil {
				why = err.Error()
			}
			if why != "" {
				steps = append(steps, Step{kind, node.Name, why})
			}
		}
	}
	ends(observed.Nodes, InstallSSHServer, cmp.Or(newClientKey, exchange), observed.serverProblem)
	ends(observed.controlPlanes(), InstallSSHProxy, cmp.Or(newHostKey, exchange), observed.proxyProblem)
	if exchange != "" {
		done := func(NodeObservation, uint16) error { return nil }
		ends(observed.Nodes, InstallSSHServer, "it takes its new key, and forgets the old ones", done)
		ends(observed.controlPlanes(), InstallSSHProxy, "it forgets the old keys", done)
	}
	return steps
}

// planRemoveSSH removes what no apiserver uses any more: proxies first, so that none looks in vain for a server.
func planRemoveSSH(observed Observation, reason string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		if node.SSH.Proxy.Present() {
			steps = append(steps, Step{RemoveSSHProxy, node.Name, reason})
		}
	}
	for _, node := range observed.Nodes {
		if node.SSH.Server.Present() {
			steps = append(steps, Step{RemoveSSHServer, node.Name, reason})
		}
	}
	if observed.ProxyAccess.Present {
		steps = append(steps, Step{DisallowSSHProxy, observed.Nodes[0].Name, reason})
	}
	return steps
}

// AnySSH reports whether there is anything left of an SSH tunnel of kubecomm's.
func (o Observation) AnySSH() bool {
	return o.ProxyAccess.Present || slices.ContainsFunc(o.Nodes, func(node NodeObservation) bool {
		return node.SSH.Server.Present() || node.SSH.Proxy.Present()
	})
}

// sshTunnels reports whether every control plane has a proxy that is connected to every node.
func (o Observation) sshTunnels() bool {
	for _, node := range o.Nodes {
		if node.SSH.Server.Status == nil || node.APIServer != nil && o.connectionProblem(node) != nil {
			return false
		}
	}
	return true
}

// SSHServerProblem says why a node's server isn't as an apply would leave it; nil if it is.
func (o Observation) SSHServerProblem(node NodeObservation) error {
	return o.serverProblem(node, node.SSH.Port)
}

// SSHProxyProblem says the same of a control plane's proxy, or which node it doesn't reach.
func (o Observation) SSHProxyProblem(node NodeObservation) error {
	return o.proxyProblem(node, node.SSH.Port)
}

// OtherSSHPort returns the port that a server has in place of the declared one, if one has another.
func (o Observation) OtherSSHPort(declared uint16) (uint16, bool) {
	for _, node := range o.Nodes {
		if found := node.SSH.Port; found != 0 && found != declared {
			return found, true
		}
	}
	return 0, false
}

// OtherSSHGeneration returns what the keys of a node were asked for by in place of the declared text, if some were.
func (o Observation) OtherSSHGeneration(declared string) (string, bool) {
	for _, node := range o.Nodes {
		keys := []SSHKey{node.SSH.Server.Key}
		if node.APIServer != nil {
			keys = append(keys, node.SSH.Proxy.Key)
		}
		for _, key := range keys {
			if key.Line != "" && key.Generation != declared {
				return key.Generation, true
			}
		}
	}
	return "", false
}
