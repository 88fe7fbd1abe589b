package apply

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// ErrForeignKonnectivity says that somebody else has put Konnectivity into the cluster, with the same names.
var ErrForeignKonnectivity = errors.New("the cluster has a Konnectivity that isn't kubecomm's")

// checkKonnectivity refuses to take somebody else's place.
func checkKonnectivity(observed Observation) error {
	if foreign := observed.Konnectivity.foreign(); foreign != "" {
		return fmt.Errorf("%w: %s", ErrForeignKonnectivity, foreign)
	}
	for _, node := range observed.Nodes {
		_, manifest := node.KonnectivityServer.Files[konnectivity.Manifest]
		if manifest && !node.KonnectivityServer.begun() {
			return fmt.Errorf("%w: %s on node %s", ErrForeignKonnectivity, konnectivity.Manifest, node.Name)
		}
	}
	return nil
}

// begun reports whether there is anything that kubecomm alone can have put there.
func (s KonnectivityServerObservation) begun() bool {
	for path := range s.Files {
		if path != konnectivity.Manifest {
			return true
		}
	}
	return len(s.Keys) > 0
}

// anyKonnectivity reports whether there is anything left of a Konnectivity of kubecomm's.
func (o Observation) anyKonnectivity() bool {
	return o.Konnectivity.Present() ||
		slices.ContainsFunc(o.Nodes, func(node NodeObservation) bool { return node.KonnectivityServer.begun() })
}

// konnectivityOptions are those that a declaration stands for on a cluster of a version.
func konnectivityOptions(want settings.Settings, minor uint) konnectivity.Options {
	options := want.Tunnel.Konnectivity
	options.Images = options.Images.OrDefault(minor)
	return options
}

// konnectivityServers are what agents find servers by.
func (o Observation) konnectivityServers() []konnectivity.Server {
	var servers []konnectivity.Server
	for _, node := range o.controlPlanes() {
		server := konnectivity.Server{Node: node.Name, Address: node.Serving.Dialled.Addr()}
		if ca := node.KonnectivityServer.CA; ca != nil {
			server.CA = pki.EncodeBundle(ca)
		}
		servers = append(servers, server)
	}
	return servers
}

func (o Observation) workers() int { return len(o.Nodes) - len(o.controlPlanes()) }

// planKonnectivity has a tunnel there and working before any apiserver is told of it. What the API doesn't tell is not known, and
// the apiservers' own step then finds out.
func planKonnectivity(observed Observation, want settings.Settings) []Step {
	if want.Tunnel.Mode != settings.Konnectivity || !observed.Konnectivity.Known {
		return nil
	}
	options := konnectivityOptions(want, observed.Minor)
	var servers, steps []Step
	for _, node := range observed.controlPlanes() {
		if problem := konnectivityServerProblem(observed, node, options); problem != "" {
			servers = append(servers, Step{InstallKonnectivityServer, node.Name, problem})
		}
	}
	reason := agentsProblem(observed, options)
	if reason == "" && len(servers) > 0 {
		reason = "the server of node " + servers[0].Node + " is installed anew"
	}
	if len(want.Tunnel.ImageArchives) > 0 && reason != "" {
		for _, node := range observed.Nodes {
			steps = append(steps, Step{LoadKonnectivityImages, node.Name, "what runs there has its images from archives"})
		}
	}
	steps = append(steps, servers...)
	if reason != "" {
		steps = append(steps, Step{RunKonnectivityAgents, observed.Nodes[0].Name, reason})
	}
	return steps
}

// konnectivityServerProblem says why a control plane's server must be installed; empty if it need not.
func konnectivityServerProblem(observed Observation, node NodeObservation, options konnectivity.Options) string {
	found := node.KonnectivityServer
	if !found.Present {
		return "it isn't there"
	}
	if problem := found.certificateProblem(node.Name, node.Addresses, observed.Time); problem != "" {
		return problem
	}
	want, err := konnectivity.ServerManifest(options, node.Name, found.manifestFiles()...)
	manifest, there := found.Files[konnectivity.Manifest]
	switch {
	case !there:
		return konnectivity.Manifest + " is missing"
	case err != nil || string(manifest.Data) != string(want):
		return konnectivity.Manifest + " is another than what it should be"
	case found.Problem != nil:
		return "it doesn't work: " + found.Problem.Error()
	}
	return ""
}

// manifestFiles are those of which a manifest says the digest.
func (s KonnectivityServerObservation) manifestFiles() [][]byte {
	var contents [][]byte
	for _, path := range []string{
		konnectivity.ServingCert, konnectivity.ClientCert, konnectivity.ClusterCA, konnectivity.Kubeconfig,
	} {
		contents = append(contents, s.Files[path].Data)
	}
	return contents
}

// certificateProblem says what is wrong with a server's certificates; empty if nothing is.
func (s KonnectivityServerObservation) certificateProblem(node string, addresses []netip.Addr, now time.Time) string {
	if problem := s.caProblem(now); problem != "" {
		return problem
	}
	if problem := s.servingProblem(node, addresses, now); problem != "" {
		return problem
	}
	return s.clientProblem(now)
}

func (s KonnectivityServerObservation) caProblem(now time.Time) string {
	switch {
	case s.CA == nil || !s.CA.IsCA:
		return konnectivity.CACert + " is missing, or holds no CA"
	case s.Keys[konnectivity.CAKey] == "":
		return konnectivity.CAKey + " is missing"
	case !now.Before(pki.RenewAfter(s.CA)):
		return "two thirds of its CA's life are over"
	}
	return s.permissionsProblem(konnectivity.CAKey)
}

func (s KonnectivityServerObservation) servingProblem(node string, addresses []netip.Addr, now time.Time) string {
	switch {
	case s.Serving == nil || s.Keys[konnectivity.ServingKey] == "":
		return "its serving certificate is missing"
	case s.Serving.CheckSignatureFrom(s.CA) != nil:
		return "its serving certificate is of another CA"
	case !slices.Equal(s.Serving.DNSNames, []string{node, konnectivity.ServingName}) || !namesAddresses(s.Serving, addresses):
		return "its serving certificate names other addresses than the node has"
	case !now.Before(pki.RenewAfter(s.Serving)):
		return "two thirds of its serving certificate's life are over"
	}
	return s.permissionsProblem(konnectivity.ServingKey)
}

func (s KonnectivityServerObservation) clientProblem(now time.Time) string {
	switch {
	case s.Client == nil || s.Keys[konnectivity.ClientKey] == "":
		return "the certificate by which it asks the apiserver is missing"
	case s.Client.Subject.CommonName != konnectivity.ServerUser || len(s.Client.Subject.Organization) > 0:
		return fmt.Sprintf("at the apiserver it is %s, to be CN=%s", s.Client.Subject, konnectivity.ServerUser)
	case !now.Before(pki.RenewAfter(s.Client)):
		return "two thirds of the life of the certificate are over by which it asks the apiserver"
	}
	return s.permissionsProblem(konnectivity.ClientKey)
}

func (s KonnectivityServerObservation) permissionsProblem(key string) string {
	if want := fmt.Sprintf("%o", privateMode); s.Keys[key] != want {
		return fmt.Sprintf("%s has permissions %s, not %s", key, s.Keys[key], want)
	}
	return ""
}

func namesAddresses(certificate *x509.Certificate, addresses []netip.Addr) bool {
	var named []netip.Addr
	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			named = append(named, address.Unmap())
		}
	}
	return slices.Equal(named, addresses)
}

// agentsProblem says why what agents are must be put into the cluster; empty if it need not.
func agentsProblem(observed Observation, options konnectivity.Options) string {
	servers := observed.konnectivityServers()
	want := konnectivity.Objects(options, servers, observed.workers())
	if problem := differentObject(observed.Konnectivity.Found, want); problem != "" {
		return problem
	}
	return observed.Konnectivity.unconnected(servers, nodeNames(observed))
}

func nodeNames(observed Observation) []string {
	var names []string
	for _, node := range observed.Nodes {
		names = append(names, node.Name)
	}
	return names
}

// unconnected says which nodes' agents aren't connected to which servers; empty if all are. Agents that count leases don't say
// which servers they lack.
func (t KonnectivityObservation) unconnected(servers []konnectivity.Server, nodes []string) string {
	var problems []string
	for _, server := range servers {
		var lacking []string
		for _, node := range nodes {
			if !slices.Contains(t.Connected[server.ContainerName()], node) {
				lacking = append(lacking, node)
			}
		}
		if len(lacking) > 0 {
			to := "the server of node " + server.Node
			if t.countsLeases() {
				to = "every server"
			}
			problems = append(problems, fmt.Sprintf("no agent of %s is connected to %s", strings.Join(lacking, ", "), to))
		}
	}
	return strings.Join(slices.Compact(problems), "; ")
}

// countsLeases reports whether agents are there that find out by leases how many servers there are.
func (t KonnectivityObservation) countsLeases() bool {
	return slices.ContainsFunc(t.Found.DaemonSets, func(set *appsv1.DaemonSet) bool {
		options, ok := konnectivity.ReadAgents(set)
		return ok && options.ServerCount == konnectivity.Leases
	})
}

// planRemoveKonnectivity removes what no apiserver uses any more: agents first, so that none looks in vain for its server.
func planRemoveKonnectivity(observed Observation, reason string) []Step {
	var steps []Step
	if observed.Konnectivity.Present() {
		steps = append(steps, Step{RemoveKonnectivityAgents, observed.Nodes[0].Name, reason})
	}
	for _, node := range observed.Nodes {
		if node.KonnectivityServer.begun() {
			steps = append(steps, Step{RemoveKonnectivityServer, node.Name, reason})
		}
	}
	return steps
}

// konnectivityTunnels reports whether every control plane has a server that works, and that agents of every node are connected
// to.
func (o Observation) konnectivityTunnels() bool {
	for _, node := range o.controlPlanes() {
		if !node.KonnectivityServer.Present || node.KonnectivityServer.Problem != nil {
			return false
		}
	}
	return o.Konnectivity.Known && o.Konnectivity.unconnected(o.konnectivityServers(), nodeNames(o)) == ""
}

// KonnectivityProblem says why a control plane's server doesn't do what it is for; empty if it does.
func (o Observation) KonnectivityProblem(node NodeObservation) string {
	if problem := node.KonnectivityServer.Problem; problem != nil {
		return problem.Error()
	}
	if !o.Konnectivity.Known {
		return "the API could not be asked for its agents"
	}
	server := []konnectivity.Server{{Node: node.Name}}
	return o.Konnectivity.unconnected(server, nodeNames(o))
}

// AgentsOf are the nodes whose agents are connected to a control plane's server.
func (o Observation) AgentsOf(node string) []string {
	nodes := slices.Clone(o.Konnectivity.Connected[konnectivity.Server{Node: node}.ContainerName()])
	slices.Sort(nodes)
	return nodes
}
