package apply

import (
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Kind is what a step does.
type Kind string

// The kinds of steps, in the order in which a plan has them: certificates come before the flag that makes apiservers
// insist on them, and go after it.
const (
	CreateIssuer     Kind = "create the CA for kubelet serving certificates"
	CopyIssuer       Kind = "copy the CA for kubelet serving certificates"
	IssueServing     Kind = "issue a kubelet serving certificate"
	VerifyKubelets   Kind = "let the kube-apiserver verify kubelets"
	UnverifyKubelets Kind = "put back how the kube-apiserver verified kubelets"
	RestoreServing   Kind = "put back the kubelet's serving certificate"
	RemoveFiles      Kind = "remove kubecomm's files"
)

// Effect is how a step takes effect on a running node.
type Effect string

// The effects, from the mildest on.
const (
	FilesOnly Effect = "files only"
	Reload    Effect = "taken up by the running process"
	Replace   Effect = "the kube-apiserver is replaced"
)

// Effect returns how steps of this kind take effect.
func (k Kind) Effect() Effect {
	switch k {
	case IssueServing, RestoreServing:
		return Reload
	case VerifyKubelets, UnverifyKubelets:
		return Replace
	}
	return FilesOnly
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

// Plan returns the steps that bring a cluster from what was observed to what is declared: none if it is there already.
func Plan(observed Observation, want settings.Settings) []Step {
	var steps []Step
	add := func(kind Kind, node, reason string) {
		steps = append(steps, Step{Kind: kind, Node: node, Reason: reason})
	}

	issuerProblem := issuerProblem(observed)
	var issuerNode string
	for _, node := range observed.Nodes {
		switch {
		case node.APIServer == nil:
		case issuerProblem != "" && issuerNode == "":
			add(CreateIssuer, node.Name, issuerProblem)
			issuerNode = node.Name
		case issuerProblem != "":
			add(CopyIssuer, node.Name, "every control plane has it, so that any of them can be lost")
		case !node.APIServer.IssuerCurrent || !node.APIServer.BundleCurrent:
			add(CopyIssuer, node.Name, "its files are missing or differ")
		}
	}
	for _, node := range observed.Nodes {
		if issuerProblem != "" {
			add(IssueServing, node.Name, "the CA is new")
		} else if reason := servingProblem(node, want, observed.Time); reason != "" {
			add(IssueServing, node.Name, reason)
		}
	}
	for _, node := range observed.Nodes {
		a := node.APIServer
		switch {
		case a == nil:
		case want.VerifyKubelets && issuerProblem != "":
			add(VerifyKubelets, node.Name, "the CA is new")
		case want.VerifyKubelets && !observed.VerifiesKubelets(a):
			add(VerifyKubelets, node.Name, flagProblem(a))
		case !want.VerifyKubelets && (ours(a.KubeletCA) || ours(a.ManifestKubeletCA)):
			add(UnverifyKubelets, node.Name, "declared")
		}
	}
	return steps
}

// PlanRestore returns the steps that put back what was there before kubecomm: Plan's, undone in reverse.
func PlanRestore(observed Observation) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		if node.APIServer != nil {
			steps = append(steps, Step{Kind: UnverifyKubelets, Node: node.Name, Reason: "destroy"})
		}
	}
	for _, kind := range []Kind{RestoreServing, RemoveFiles} {
		for _, node := range observed.Nodes {
			steps = append(steps, Step{Kind: kind, Node: node.Name, Reason: "destroy"})
		}
	}
	return steps
}

func issuerProblem(observed Observation) string {
	switch {
	case observed.Issuer == nil:
		return "no control plane has it with its key"
	case !observed.Time.Before(pki.RenewAfter(observed.Issuer)):
		return "two thirds of its life are over"
	}
	return ""
}

// servingProblem says why a node needs a new serving certificate; empty if it doesn't.
func servingProblem(node NodeObservation, want settings.Settings, now time.Time) string {
	leaf := node.Serving.Leaf()
	switch {
	case node.Serving.Problem != nil:
		return "the one it serves is refused: " + node.Serving.Problem.Error()
	case leaf == nil:
		return "it serves none"
	case !pki.Names(leaf, node.Name, node.Addresses):
		return "the one it serves names other addresses than the node has"
	case pki.Lifetime(leaf) != want.ServingValidity:
		return fmt.Sprintf("the one it serves is valid for %s, declared is %s",
			settings.FormatValidity(pki.Lifetime(leaf)), settings.FormatValidity(want.ServingValidity))
	case !now.Before(pki.RenewAfter(leaf)):
		return "two thirds of its life are over"
	}
	return ""
}

func flagProblem(a *APIServerObservation) string {
	switch {
	case a.KubeletCA == "" && a.ManifestKubeletCA == "":
		return "--" + kubeletCAFlag + " is not set"
	case a.KubeletCA != a.ManifestKubeletCA:
		return fmt.Sprintf("it runs with --%s=%q, but its manifest says %q", kubeletCAFlag, a.KubeletCA,
			a.ManifestKubeletCA)
	}
	return fmt.Sprintf("it runs with --%s=%s, which is not the bundle of the CA", kubeletCAFlag, a.KubeletCA)
}
