package apply

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/findings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Observation is how a cluster's kubelet verification really stands.
type Observation struct {
	Time   time.Time
	Issuer *x509.Certificate   // the CA for kubelet serving certificates; nil if no control plane has it with its key
	Own    []*x509.Certificate // the chain of the issuer, if it is a CA of the user's own
	Nodes  []NodeObservation   // control planes first
	Joins  JoinsObservation
	Minor  uint           // version of Kubernetes 1; 0 if the API could not be asked
	Policy *access.Policy // what the API's RBAC says; nil if it could not be asked
	// ApproverAccess is what those may do who approve what kubelets request.
	ApproverAccess AccountObservation
	Konnectivity   KonnectivityObservation
	// ProxyAccess is what the proxies of SSH tunnels may do.
	ProxyAccess AccountObservation
	// PodCIDRs are the ranges that nodes' pods have addresses of, by node; nil if the API could not be asked.
	PodCIDRs map[string][]netip.Prefix
	// ClusterCA is the CA, in PEM, that apiservers' certificates are of.
	ClusterCA []byte
	// Admin is the client certificate of the cluster's administrator; nil if there is none, or it can't be read.
	Admin *x509.Certificate
}

// reloadsServing is the first minor version of Kubernetes 1 whose kubelets show a certificate that they have reloaded to
// apiservers too, see showsByName.
const reloadsServing = 36

// RestartsKubelet reports whether a step restarts a kubelet on a cluster like this one.
func (o Observation) RestartsKubelet(kind Kind) bool {
	return kind.Effect() == Restart || kind.Effect() == Reload && o.Minor != 0 && o.Minor < reloadsServing
}

// NodeObservation is one node's part.
type NodeObservation struct {
	Name      string
	Role      cluster.Role
	Addresses []netip.Addr
	Machine   string // what it is, as `uname --machine` tells
	Serving   ServingObservation
	Kubelet   KubeletObservation
	APIServer *APIServerObservation // control planes only
	// Others are the control plane's other components; not there on workers.
	Others map[settings.Component]*ComponentObservation
	// Kubeconfigs are those of the components on it; nil if they could not be looked at.
	Kubeconfigs []findings.Kubeconfig
	// Approver is who approves what kubelets request; of control planes only.
	Approver ApproverObservation
	// KonnectivityServer is the server of Konnectivity; of control planes only.
	KonnectivityServer KonnectivityServerObservation
	// SSH is what it has of an SSH tunnel.
	SSH SSHObservation
}

// component returns how a component is on the node; nil if it isn't there.
func (n NodeObservation) component(component settings.Component) *ComponentObservation {
	if component != settings.APIServer {
		return n.Others[component]
	}
	if n.APIServer == nil {
		return nil
	}
	return &n.APIServer.ComponentObservation
}

// ServingObservation is what a kubelet answered to a TLS client that dialled it from a control plane.
type ServingObservation struct {
	Files   kubelet.Serving
	Dialled netip.AddrPort
	Chain   []*x509.Certificate // as served, leaf first; empty if the kubelet could not be reached
	// Problem says why an apiserver with the issuer as its kubelet CA would refuse the kubelet; nil if it would not.
	Problem error
}

// KubeletObservation is how a kubelet is configured.
type KubeletObservation struct {
	File     kubelet.Fields // its configuration file
	Baseline kubelet.Fields // the file before kubecomm's first change, or as it would be without; nil if there was none
	Running  kubelet.Fields // what it says that it runs with; nil if it could not be asked
	Problem  error          // why it could not be asked
	Stale    bool           // the file was changed after the kubelet had read it
	// Documents are the contents of files that the fields name which settings become, as far as they matter and are there.
	Documents map[string][]byte
}

// ComponentObservation is how a component of a control plane runs.
type ComponentObservation struct {
	Running  controlplane.Flags // the process's; nil if none runs
	Manifest controlplane.Flags // those that the next process will have
	Baseline controlplane.Flags // the manifest's before kubecomm's first change, or without; nil if there was none
	// Documents are the contents of files that the flags name which settings become, as far as they matter and are there.
	Documents map[string][]byte
}

// before are the flags from before kubecomm, or the manifest's where kubecomm has changed nothing.
func (c *ComponentObservation) before() controlplane.Flags {
	if c.Baseline != nil {
		return c.Baseline
	}
	return c.Manifest
}

// APIServerObservation is how a control plane's apiserver runs.
type APIServerObservation struct {
	ComponentObservation
	IssuerCurrent bool // its issuer and the issuer's key are those of the observation
	Trust         TrustObservation
	Client        KubeletClientObservation
}

// controlPlanes are the nodes that have an apiserver.
func (o Observation) controlPlanes() []NodeObservation {
	return slices.DeleteFunc(slices.Clone(o.Nodes), func(node NodeObservation) bool { return node.APIServer == nil })
}

// VerifiesKubelets reports whether the running apiserver verifies kubelets against the issuer, and will after its next
// start.
func (o Observation) VerifiesKubelets(a *APIServerObservation) bool {
	return o.Issuer != nil && a.Trust.has(o.Issuer) && ours(a.Trust.File) &&
		slices.Equal(a.Manifest[kubeletCAFlag], a.Running[kubeletCAFlag])
}

// Generation is what the issuer was asked for by, or empty.
func (o Observation) Generation() string {
	if o.Issuer == nil {
		return ""
	}
	return pki.Generation(o.Issuer)
}

// AnyIssued reports whether any kubelet serves a certificate of the issuer's.
func (o Observation) AnyIssued() bool { return slices.ContainsFunc(o.Nodes, o.issued) }

// issued reports whether a node's kubelet does.
func (o Observation) issued(node NodeObservation) bool {
	leaf := node.Serving.Leaf()
	return o.Issuer != nil && leaf != nil && (node.Serving.Problem == nil || leaf.CheckSignatureFrom(o.Issuer) == nil)
}

// AllVerifyKubelets reports whether every apiserver does.
func (o Observation) AllVerifyKubelets() bool {
	return !slices.ContainsFunc(o.controlPlanes(), func(node NodeObservation) bool { return !o.VerifiesKubelets(node.APIServer) })
}

// Leaf returns the certificate that the kubelet served, or nil.
func (s ServingObservation) Leaf() *x509.Certificate {
	if len(s.Chain) == 0 {
		return nil
	}
	return s.Chain[0]
}

// AnyVerifiesKubelets reports whether any apiserver runs, or would start, with a bundle of kubecomm's.
func (o Observation) AnyVerifiesKubelets() bool {
	return slices.ContainsFunc(o.controlPlanes(), func(node NodeObservation) bool {
		a := node.APIServer
		return slices.ContainsFunc(slices.Concat(a.Running[kubeletCAFlag], a.Manifest[kubeletCAFlag]), ours)
	})
}

// Begun reports whether an apply has left anything on the cluster that Restore would remove.
func (o Observation) Begun() bool {
	for _, node := range o.Nodes {
		if node.Kubelet.Baseline != nil || node.APIServer != nil && node.APIServer.Client.Original != nil {
			return true
		}
		for _, component := range settings.Components() {
			if observed := node.component(component); observed != nil && observed.Baseline != nil {
				return true
			}
		}
	}
	return o.Issuer != nil || o.AnyApprover() || o.AnyTunnel() || o.AnyVerifiesKubelets() ||
		o.Joins.begun() || len(ourBindings(o.Policy)) > 0
}

// AnyApprover reports whether there is anything left of who approves what kubelets request.
func (o Observation) AnyApprover() bool {
	return o.ApproverAccess.Present ||
		slices.ContainsFunc(o.Nodes, func(node NodeObservation) bool { return node.Approver.Present })
}

// ServingSource is where kubelets' serving certificates come from: the declared source if it is where those of all come
// from, and otherwise the one that differs; empty if none is of the issuer's.
func (o Observation) ServingSource(declared settings.Source) settings.Source {
	if !o.AnyIssued() {
		return ""
	}
	for _, node := range o.Nodes {
		if source := node.source(declared); source != declared {
			return source
		}
	}
	return declared
}

// source is what the node's kubelet is configured for, and runs with as far as it could be asked. Whether it was given its
// certificate by kubecomm or by the user doesn't show there.
func (n NodeObservation) source(declared settings.Source) settings.Source {
	if n.Serving.Files.Requests && (n.Kubelet.Running == nil || isTrue(n.Kubelet.Running.Value(kubelet.BootstrapField))) {
		return settings.CSR
	}
	if declared == settings.Provided {
		return declared
	}
	return settings.DedicatedCA
}
