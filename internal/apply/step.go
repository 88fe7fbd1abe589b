package apply

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Kind is what a step does.
type Kind string

// The kinds of steps, in the order in which a plan has them: certificates come before the flag that makes apiservers
// insist on them, and go after it; those of another CA come between a flag for both CAs and one for the new CA alone. What
// nodes get that join later comes when those that are there work with it.
const (
	CreateIssuer Kind = "create the CA for kubelet serving certificates"
	CopyIssuer   Kind = "copy the CA for kubelet serving certificates"
	AdoptIssuer  Kind = "put the declared CA for kubelet serving certificates in place"
	TrustBoth    Kind = "have the kube-apiserver trust the new CA for kubelets beside the old one"
	IssueServing Kind = "issue a kubelet serving certificate"

	InstallServing Kind = "install the provided kubelet serving certificate"

	BindKubeletClient    Kind = "bind the apiservers' identity at kubelets"
	IssueKubeletClient   Kind = "issue the apiserver's client certificate for kubelets"
	RestoreKubeletClient Kind = "put back the apiserver's client certificate for kubelets"

	AllowApprover   Kind = "let an approver decide what kubelets request"
	InstallApprover Kind = "install the approver of what kubelets request"

	ConfigureKubelet Kind = "change the kubelet's configuration"
	ReplaceAPIServer Kind = "replace the kube-apiserver"

	ReplaceControllerManager Kind = "replace the kube-controller-manager"
	ReplaceScheduler         Kind = "replace the kube-scheduler"
	ReplaceEtcd              Kind = "replace etcd"

	LoadKonnectivityImages    Kind = "load the images of Konnectivity"
	InstallKonnectivityServer Kind = "install the server of Konnectivity"
	RunKonnectivityAgents     Kind = "run the agents of Konnectivity on every node"
	RemoveKonnectivityAgents  Kind = "remove the agents of Konnectivity"
	RemoveKonnectivityServer  Kind = "remove the server of Konnectivity"

	AllowSSHProxy    Kind = "let SSH proxies see which nodes there are"
	MakeSSHKeys      Kind = "make the keys of the SSH tunnel"
	InstallSSHServer Kind = "install the SSH server of the tunnel"
	InstallSSHProxy  Kind = "install the SSH proxy of the tunnel"
	RemoveSSHProxy   Kind = "remove the SSH proxy of the tunnel"
	RemoveSSHServer  Kind = "remove the SSH server of the tunnel"
	DisallowSSHProxy Kind = "take the SSH proxies' rights away"

	UnbindKubeletClient Kind = "remove kubecomm's binding of the apiservers' identity at kubelets"

	RemoveApprover   Kind = "remove the approver of what kubelets request"
	DisallowApprover Kind = "take the approver's rights away"

	RestoreServing Kind = "put back the kubelet's serving certificate"
	ConfigureJoins Kind = "change what kubeadm gives nodes that join later"
	RemoveFiles    Kind = "remove kubecomm's files"
)

// replaces are the kinds of steps that give a component other flags.
var replaces = map[settings.Component]Kind{
	settings.APIServer: ReplaceAPIServer, settings.ControllerManager: ReplaceControllerManager,
	settings.Scheduler: ReplaceScheduler, settings.Etcd: ReplaceEtcd,
}

// Effect is how a step takes effect on a running node.
type Effect string

// The effects, from the mildest on.
const (
	FilesOnly Effect = "files only"
	Joins     Effect = "nodes that join later have it"
	Object    Effect = "an object of the API only"
	Reload    Effect = "the running kubelet takes it up, or before Kubernetes 1.36 restarts, its pods go on"
	Dial      Effect = "the running kube-apiserver takes it up with its next connections"
	Service   Effect = "a program of kubecomm's runs on the control plane"

	NodeService Effect = "a program of kubecomm's runs on the node"

	Pods    Effect = "pods are started or replaced, and what goes through them ends"
	Restart Effect = "the kubelet restarts, its pods go on"
	Away    Effect = "another takes its place, and it is away for some seconds"
	Swap    Effect = "another kube-apiserver takes its place while a second one serves"
)

// traits are what all steps of a kind have in common.
type traits struct {
	effect   Effect
	verified string
	undone   string // empty if it can't be
	parallel parallelism
	work     func(job) work
}

// parallelism is how steps of a kind on several nodes go together.
type parallelism int

const (
	oneByOne   parallelism = iota
	sideBySide             // all at once
	firstAlone             // the first shows whether it works at all; then as many at once as the settings allow
)

var kinds = map[Kind]traits{
	CreateIssuer: {
		effect: FilesOnly, verified: "each use of it verifies it", undone: "its files are removed",
		parallel: oneByOne, work: func(j job) work { return &issuerWork{job: j, issuer: newIssuer} },
	},
	CopyIssuer: {
		effect: FilesOnly, verified: "each use of it verifies it", undone: "its files are put back as they were",
		parallel: sideBySide, work: func(j job) work { return &issuerWork{job: j, issuer: existingIssuer} },
	},
	AdoptIssuer: {
		effect: FilesOnly, verified: "each certificate of it is verified by it", undone: "its files are put back as they were",
		parallel: sideBySide, work: func(j job) work { return &adoptIssuerWork{job: j} },
	},
	TrustBoth: {
		effect:   Swap,
		verified: "it is ready and reaches every kubelet; a trial of it did so before",
		undone:   "it is replaced again, with the previous manifest",
		parallel: oneByOne, work: func(j job) work { return &trustWork{apiserverWork{job: j}} },
	},
	IssueServing: {
		effect: Reload, verified: "a TLS client on a control plane is shown it", undone: "the kubelet serves the previous one",
		parallel: firstAlone, work: func(j job) work { return &servingWork{job: j, obtain: issueServing} },
	},
	InstallServing: {
		effect: Reload, verified: "a TLS client on a control plane is shown it", undone: "the kubelet serves the previous one",
		parallel: firstAlone, work: func(j job) work { return &servingWork{job: j, obtain: providedServing} },
	},
	BindKubeletClient: {
		effect: Object, verified: "every kubelet lets the identity in before an apiserver has it",
		undone:   "the binding is removed, or put back as it was",
		parallel: oneByOne, work: func(j job) work { return &bindWork{job: j} },
	},
	IssueKubeletClient: {
		effect: Dial, verified: "kubelets let it in, and the apiserver reads logs and runs commands with it",
		undone:   "the files are put back as they were",
		parallel: oneByOne, work: func(j job) work { return &issueClientWork{clientWork: clientWork{job: j}} },
	},
	RestoreKubeletClient: {
		effect: Dial, verified: "the apiserver reads logs and runs commands with it",
		undone:   "the files are put back as they were",
		parallel: oneByOne, work: func(j job) work { return &restoreClientWork{clientWork{job: j}} },
	},
	UnbindKubeletClient: {
		effect: Object, verified: "no connection is left of who was bound by it", undone: "it is made again",
		parallel: oneByOne, work: func(j job) work { return &unbindWork{job: j} },
	},
	AllowApprover: {
		effect: Object, verified: "what is requested in a kubelet's name is approved", undone: "the objects are as they were before",
		parallel: oneByOne, work: func(j job) work { return &allowWork{objectsWork{job: j}, approverObjects()} },
	},
	InstallApprover: {
		effect: Service, verified: "it sees requests, and approves one before any kubelet depends on it",
		undone:   "it is as it was before",
		parallel: sideBySide, work: func(j job) work { return &installApproverWork{job: j} },
	},
	RemoveApprover: {
		effect: FilesOnly, verified: "no kubelet requests any more", undone: "it is installed again",
		parallel: sideBySide, work: func(j job) work { return &removeServiceWork{j, approverAnywhere()} },
	},
	DisallowApprover: {
		effect: Object, verified: "no approver is left", undone: "the objects are created again",
		parallel: oneByOne, work: func(j job) work { return &disallowWork{objectsWork{job: j}, approverObjects()} },
	},
	ConfigureKubelet: {
		effect: Restart, verified: "the kubelet says that it runs with it, and the node is ready",
		undone:   "the kubelet restarts with the previous configuration",
		parallel: firstAlone, work: func(j job) work { return &kubeletWork{job: j} },
	},
	ReplaceAPIServer: {
		effect:   Swap,
		verified: "it is ready, runs with the declared flags and reaches every kubelet; a trial of it did so before",
		undone:   "it is replaced again, with the previous manifest",
		parallel: oneByOne, work: func(j job) work { return &apiserverWork{job: j} },
	},
	ReplaceControllerManager: replacement(settings.ControllerManager),
	ReplaceScheduler:         replacement(settings.Scheduler),
	ReplaceEtcd:              replacement(settings.Etcd),
	LoadKonnectivityImages: {
		effect: FilesOnly, verified: "the node's container runtime has them", undone: "they stay, and nothing runs with them",
		parallel: sideBySide, work: func(j job) work { return &loadKonnectivityImagesWork{job: j} },
	},
	InstallKonnectivityServer: {
		effect: Pods, verified: "it says that it is healthy", undone: "it is as it was before",
		parallel: sideBySide, work: func(j job) work { return &installKonnectivityServerWork{job: j} },
	},
	RunKonnectivityAgents: {
		effect: Pods, verified: "agents of every node say that they are connected to every server",
		undone:   "the objects are as they were before",
		parallel: oneByOne, work: func(j job) work { return &runKonnectivityAgentsWork{objectsWork: objectsWork{job: j}} },
	},
	RemoveKonnectivityAgents: {
		effect: Object, verified: "no apiserver uses them", undone: "the objects are created again",
		parallel: oneByOne, work: func(j job) work { return &removeKonnectivityAgentsWork{objectsWork{job: j}} },
	},
	RemoveKonnectivityServer: {
		effect: FilesOnly, verified: "no apiserver uses it", undone: "it is installed again",
		parallel: sideBySide, work: func(j job) work { return &removeKonnectivityServerWork{job: j} },
	},
	AllowSSHProxy: {
		effect: Object, verified: "proxies say that the API has told them", undone: "the objects are as they were before",
		parallel: oneByOne, work: func(j job) work { return &allowWork{objectsWork{job: j}, proxyObjects()} },
	},
	MakeSSHKeys: {
		effect: FilesOnly, verified: "both ends say that they have them", undone: "its files are put back as they were",
		parallel: sideBySide, work: func(j job) work { return &makeSSHKeysWork{job: j} },
	},
	InstallSSHServer: {
		effect: NodeService, verified: "it says that it has its key, and lets every control plane in",
		undone:   "it is as it was before",
		parallel: sideBySide, work: func(j job) work { return &sshEndWork{job: j, end: serverEnd()} },
	},
	InstallSSHProxy: {
		effect: Service, verified: "it says that it is connected to every node by the right keys",
		undone:   "it is as it was before",
		parallel: sideBySide, work: func(j job) work { return &sshEndWork{job: j, end: proxyEnd()} },
	},
	RemoveSSHProxy: {
		effect: FilesOnly, verified: "no apiserver uses it", undone: "it is installed again",
		parallel: sideBySide, work: func(j job) work { return &removeServiceWork{j, sshProxy()} },
	},
	RemoveSSHServer: {
		effect: FilesOnly, verified: "no proxy uses it", undone: "it is installed again",
		parallel: sideBySide, work: func(j job) work { return &removeServiceWork{j, sshServer()} },
	},
	DisallowSSHProxy: {
		effect: Object, verified: "no proxy is left", undone: "the objects are created again",
		parallel: oneByOne, work: func(j job) work { return &disallowWork{objectsWork{job: j}, proxyObjects()} },
	},
	RestoreServing: {
		effect: Reload, verified: "a TLS client on a control plane is shown it", undone: "the kubelet serves the issued one",
		parallel: firstAlone, work: func(j job) work { return &restoreServingWork{job: j} },
	},
	ConfigureJoins: {
		effect: Joins, verified: "every apiserver shows it in kubeadm's ConfigMaps", undone: "the ConfigMaps are as they were",
		parallel: oneByOne, work: func(j job) work { return &joinsWork{job: j} },
	},
	RemoveFiles: {
		effect: FilesOnly, verified: "nothing refers to them any more",
		parallel: sideBySide, work: func(j job) work { return removeFilesWork{job: j} },
	},
}

func replacement(component settings.Component) traits {
	return traits{
		effect: Away, verified: "it runs with the declared flags and says that it is healthy",
		undone:   "it is replaced again, with the previous manifest",
		parallel: oneByOne, work: func(j job) work { return &staticPodWork{job: j, component: component} },
	}
}

// Effect returns how steps of this kind take effect.
func (k Kind) Effect() Effect { return kinds[k].effect }

// Verified returns how it is known that a step of this kind has worked.
func (k Kind) Verified() string { return kinds[k].verified }

// Undone returns how a step of this kind is undone when a later one fails; empty if it isn't.
func (k Kind) Undone() string { return kinds[k].undone }

// Phases returns what steps of this kind do, in order. A crash after any of them, or inside one, leaves a cluster that
// serves.
func (k Kind) Phases() []string {
	var names []string
	for _, phase := range kinds[k].work(job{}).phases() {
		names = append(names, phase.name)
	}
	return names
}

// Step is one change on one node.
type Step struct {
	Kind   Kind
	Node   string
	Reason string // why it is needed
}

func (s Step) String() string {
	return fmt.Sprintf("node %s: %s (%s; %s)", s.Node, s.Kind, s.Reason, s.Kind.Effect())
}

// job is what a step's work is to be done on.
type job struct {
	target  Target
	node    Node
	options Options
	// observed is how the node was when the steps were planned.
	observed NodeObservation
	// restore says that what counts as declared is what was there before kubecomm.
	restore bool
}

// phase is a part of a step.
type phase struct {
	name string
	do   func(context.Context) error
}

// work does what a step is for. Its phases' names don't depend on the cluster.
type work interface {
	phases() []phase
	// undo goes back to what was there before the apply, however far the phases came.
	undo(ctx context.Context) error
}

func describe(steps []Step) string {
	lines := make([]string, len(steps))
	for i, step := range steps {
		lines[i] = step.String()
	}
	return strings.Join(lines, "; ")
}
