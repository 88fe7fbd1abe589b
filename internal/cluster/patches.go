package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// kind generates a kubeadm configuration of five documents for each node and applies patches to those whose kind, and
// apiVersion if the patch has one, are the same. A patch that matches none is dropped in silence (kind v0.33.0,
// pkg/internal/patch/kubeyaml.go). kubeadm in turn reads on each node only what it needs there and drops the rest with
// a line in its log. Here both are refused, because a setting that isn't in effect is worse than one that is missing.

// document is one of the five kinds that kind generates.
type document struct {
	kind string
	// apiVersion returns what kind generates for a Kubernetes version.
	apiVersion func(*kubeVersion) string
	// joining says that nodes that join read it; all others are read by the first control plane alone, and reach the
	// other nodes through the cluster (Kubernetes v1.37.1, cmd/kubeadm/app/util/config/joinconfiguration.go).
	joining bool
}

var documents = []document{
	{kind: "ClusterConfiguration", apiVersion: kubeadmAPIVersion},
	{kind: "InitConfiguration", apiVersion: kubeadmAPIVersion},
	{kind: "JoinConfiguration", apiVersion: kubeadmAPIVersion, joining: true},
	{kind: "KubeletConfiguration", apiVersion: fixedAPIVersion("kubelet.config.k8s.io/v1beta1")},
	{kind: kubeProxyConfiguration, apiVersion: fixedAPIVersion("kubeproxy.config.k8s.io/v1alpha1")},
}

const kubeProxyConfiguration = "KubeProxyConfiguration"

func fixedAPIVersion(version string) func(*kubeVersion) string {
	return func(*kubeVersion) string { return version }
}

// patchedNode is a node as far as patches are concerned.
type patchedNode struct {
	version *kubeVersion // nil if it isn't known yet
	joins   bool         // false for the first control plane
	known   bool         // its role is known
}

// target is what a list of patches can apply to.
type target struct {
	nodes     []patchedNode
	kubeProxy bool
	single    bool // the list belongs to one node
}

// patchProblems checks all patches, given what is known of each node's image.
func (s Spec) patchProblems(images []imageFacts) []Problem {
	declared := s.nodes()
	nodes := make([]patchedNode, len(declared))
	rolesKnown := !slices.ContainsFunc(declared, func(node NodeSpec) bool { return node.Role == "" })
	initialised := false
	for i, node := range declared {
		first := node.Role == ControlPlane && !initialised
		initialised = initialised || first
		nodes[i] = patchedNode{version: images[i].kubernetes, joins: !first, known: rolesKnown}
	}
	all := target{nodes: nodes, kubeProxy: s.Networking.KubeProxyMode != kubeProxyNone}
	problems := slices.Concat(
		all.mergeProblems(Path{"kubeadm_config_patches"}, s.KubeadmPatches),
		all.jsonProblems(Path{"kubeadm_config_patches_json6902"}, s.KubeadmJSONPatches),
		containerdProblems(Path{"containerd_config_patches"}, s.ContainerdPatches, images),
		containerdJSONProblems(Path{"containerd_config_patches_json6902"}, s.ContainerdJSONPatches),
	)
	for i, node := range s.Nodes {
		at := Path{"nodes", i}
		one := target{nodes: nodes[i : i+1], kubeProxy: all.kubeProxy, single: true}
		problems = append(problems, one.mergeProblems(at.at("kubeadm_config_patches"), node.KubeadmPatches)...)
		problems = append(problems, one.jsonProblems(at.at("kubeadm_config_patches_json6902"), node.KubeadmJSONPatches)...)
	}
	return problems
}

// subject is what a patch says that it is for.
type subject struct {
	kind, apiVersion string
}

// unmatched returns why a patch for this subject would have no effect, or "". Others are the subjects of the list that
// the patch is in: of several for the same kind but for different versions, only one needs to match.
func (t target) unmatched(s subject, others []subject) string {
	i := slices.IndexFunc(documents, func(d document) bool { return d.kind == s.kind })
	if i < 0 {
		return t.unknownKind(s)
	}
	doc := documents[i]
	if doc.kind == kubeProxyConfiguration && !t.kubeProxy {
		return "it is for KubeProxyConfiguration, which doesn't exist with kube_proxy_mode `none`"
	}
	readers := t.readers(doc)
	if len(readers) == 0 {
		return t.unread(doc)
	}
	for _, node := range readers {
		if doc.matches(node.version, s.apiVersion) {
			continue
		}
		sibling := slices.ContainsFunc(others, func(other subject) bool {
			return other.kind == s.kind && other.apiVersion != "" && doc.matches(node.version, other.apiVersion)
		})
		if !sibling {
			return doc.mismatch(node.version, s.apiVersion)
		}
	}
	return ""
}

// readers are the nodes on which kubeadm reads a document. Where no node joins, a cluster-wide patch for joining nodes
// is left for those of another day.
func (t target) readers(doc document) []patchedNode {
	var readers []patchedNode
	for _, node := range t.nodes {
		if !node.known || node.joins == doc.joining {
			readers = append(readers, node)
		}
	}
	if len(readers) == 0 && !t.single {
		return t.nodes
	}
	return readers
}

// matches says whether a patch with an apiVersion, or without one, applies to the document that kind generates.
func (d document) matches(version *kubeVersion, apiVersion string) bool {
	if apiVersion == "" {
		return true
	}
	if version == nil {
		return slices.Contains(d.possible(), apiVersion)
	}
	return d.apiVersion(version) == apiVersion
}

// possible are the apiVersions that kind generates for any Kubernetes version.
func (d document) possible() []string {
	var found []string
	for _, version := range []*kubeVersion{versionOfImage(":v1.22.0"), versionOfImage(":v1.23.0"), versionOfImage(":v1.36.0")} {
		found = append(found, d.apiVersion(version))
	}
	return slices.Compact(found)
}

func (d document) mismatch(version *kubeVersion, apiVersion string) string {
	if version == nil {
		return fmt.Sprintf("its apiVersion is %s, but for %s kind generates %s", apiVersion, d.kind,
			strings.Join(d.possible(), " or "))
	}
	return fmt.Sprintf("its apiVersion is %s, but for Kubernetes %s kind generates %s with %s", apiVersion, version, d.kind,
		d.apiVersion(version))
}

func (t target) unknownKind(s subject) string {
	var kinds []string
	for _, doc := range documents {
		kinds = append(kinds, doc.kind)
	}
	known := choices(kinds).String()
	if s.kind == "" {
		return "it names no kind, which must be " + known
	}
	return fmt.Sprintf("its kind is %s, and kind generates only %s", s.kind, known)
}

func (t target) unread(doc document) string {
	if doc.joining {
		return "it is for JoinConfiguration, which kubeadm doesn't read on the first control plane: that is set up by " +
			"InitConfiguration"
	}
	return fmt.Sprintf("it is for %s, which kubeadm reads on the first control plane alone: this node joins, and reads "+
		"JoinConfiguration. Move the patch to the first control plane or to the cluster's own patches", doc.kind)
}

// noEffect words a reason from unmatched.
func noEffect(which, reason string) string {
	return fmt.Sprintf("%s would be dropped in silence: %s.", which, reason)
}
