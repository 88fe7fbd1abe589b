package cluster

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Problems returns all that can be told to be wrong with the Spec before anything is created. What isn't known yet is
// left at its zero value, and then nothing is said about it; an image that isn't known leaves the Kubernetes version
// open.
func (s Spec) Problems() []Problem {
	var images []imageFacts
	for _, node := range s.nodes() {
		images = append(images, factsByTag(s.image(node)))
	}
	return s.problems(images)
}

// problems is Problems with what is known of each node's image.
func (s Spec) problems(images []imageFacts) []Problem {
	return slices.Concat(
		nameProblems(s.Name),
		s.nodeProblems(),
		s.Networking.problems(),
		hostPortProblems(s.nodes(), s.Networking),
		featureGateProblems(s.FeatureGates, images),
		runtimeConfigProblems(s.RuntimeConfig),
		s.patchProblems(images),
	)
}

// validName is kind's own rule (v0.33.0, pkg/internal/apis/config/validate.go).
var validName = regexp.MustCompile(`^[a-z0-9.-]+$`)

// maxNameLength leaves room for what kind appends, within the 64 characters of a host name. kind only warns here
// (v0.33.0, pkg/cluster/internal/create/create.go).
const maxNameLength = 50

func nameProblems(name string) []Problem {
	at := Path{"name"}
	switch {
	case name == "":
		return nil
	case !validName.MatchString(name):
		return []Problem{{at, fmt.Sprintf("%q is not a valid cluster name: kind allows lower case letters, digits, "+
			"dots and hyphens.", name)}}
	case len(name) > maxNameLength:
		return []Problem{{at, fmt.Sprintf("%q is too long: a cluster name has at most %d characters, because the nodes' "+
			"host names begin with it.", name, maxNameLength)}}
	case len(validation.IsDNS1123Subdomain(nodeName(name, ControlPlane, 1))) > 0:
		return []Problem{{at, fmt.Sprintf("%q is not a valid cluster name: the nodes' names begin with it and are DNS "+
			"names, so it begins with a letter or digit, and so does each part after a dot.", name)}}
	}
	return nil
}

// nodeName is the name that kind gives to the nth node of a role, counted from 1 (v0.33.0,
// pkg/cluster/internal/providers/common/namer.go).
func nodeName(cluster string, role Role, nth int) string {
	if nth == 1 {
		return fmt.Sprintf("%s-%s", cluster, role)
	}
	return fmt.Sprintf("%s-%s%d", cluster, role, nth)
}

// NodeNames are the names that kind gives to the nodes of a cluster, in the order of their declaration.
func NodeNames(cluster string, roles []Role) []string {
	count := map[Role]int{}
	names := make([]string, len(roles))
	for i, role := range roles {
		count[role]++
		names[i] = nodeName(cluster, role, count[role])
	}
	return names
}

func (s Spec) nodeProblems() []Problem {
	var problems []Problem
	anyControlPlane := len(s.Nodes) == 0
	for i, node := range s.Nodes {
		at := Path{"nodes", i}
		// A role that isn't known yet may become a control plane.
		anyControlPlane = anyControlPlane || node.Role == ControlPlane || node.Role == ""
		problems = append(problems, Roles.problem(at.at("role"), string(node.Role))...)
		problems = append(problems, labelProblems(at.at("labels"), node.Labels)...)
		for j, mount := range node.ExtraMounts {
			problems = append(problems, mount.problems(at.at("extra_mounts", j))...)
		}
		for j, mapping := range node.ExtraPortMappings {
			problems = append(problems, mapping.problems(at.at("extra_port_mappings", j))...)
		}
	}
	if !anyControlPlane {
		problems = append(problems, Problem{Path{"nodes"}, "A cluster needs at least one node whose role is " +
			"`control-plane`."})
	}
	return problems
}

// ownLabels are the labels below kubernetes.io and k8s.io that a kubelet may give its own node; it refuses to start
// with any other (Kubernetes v1.37.1, staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go).
var ownLabels = []string{
	corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
	corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
	corev1.LabelOSStable, corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
}

func labelProblems(at Path, labels map[string]string) []Problem {
	var problems []Problem
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		at := at.at(Key(key))
		for _, reason := range validation.IsQualifiedName(key) {
			problems = append(problems, Problem{at, "The label's key is not valid: " + reason + "."})
		}
		for _, reason := range validation.IsValidLabelValue(labels[key]) {
			problems = append(problems, Problem{at, "The label's value is not valid: " + reason + "."})
		}
		if reservedLabel(key) {
			problems = append(problems, Problem{at, "A kubelet refuses to start with this label: below `kubernetes.io` " +
				"and `k8s.io` it may set those below `node.kubernetes.io` and `kubelet.kubernetes.io` and a few others " +
				"(such as `topology.kubernetes.io/zone`). Set others through the API."})
		}
	}
	return problems
}

func reservedLabel(key string) bool {
	namespace, _, found := strings.Cut(key, "/")
	within := func(domain string) bool { return namespace == domain || strings.HasSuffix(namespace, "."+domain) }
	if !found || !within("kubernetes.io") && !within("k8s.io") {
		return false
	}
	return !slices.Contains(ownLabels, key) &&
		!within(corev1.LabelNamespaceSuffixKubelet) && !within(corev1.LabelNamespaceSuffixNode)
}

func (m Mount) problems(at Path) []Problem {
	problems := MountPropagations.problem(at.at("propagation"), m.Propagation)
	if m.HostPath != "" && !filepath.IsAbs(m.HostPath) {
		problems = append(problems, Problem{at.at("host_path"), fmt.Sprintf("%q is a relative path, which would be taken "+
			"from wherever the provider happens to run. Use abspath() or path.module.", m.HostPath)})
	}
	if m.ContainerPath != "" && !path.IsAbs(m.ContainerPath) {
		problems = append(problems, Problem{at.at("container_path"), fmt.Sprintf("%q is not an absolute path.",
			m.ContainerPath)})
	}
	return problems
}

// featureGateProblems adds what the kubelets would say: all components get the same gates, and a kubelet knows all of
// them. kubeadm would wait four minutes for a kubelet that doesn't start.
func featureGateProblems(gates map[string]bool, images []imageFacts) []Problem {
	at := Path{"feature_gates"}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		if !validFeatureGate.MatchString(name) {
			problems = append(problems, Problem{at.at(Key(name)), fmt.Sprintf("%q is not the name of a feature gate: those "+
				"are letters and digits alone, such as `AllAlpha`.", name)})
		}
	}
	var refused []string
	for _, image := range images {
		refused = append(refused, image.gateProblems...)
	}
	slices.Sort(refused)
	for _, reason := range slices.Compact(refused) {
		problems = append(problems, Problem{at, "The node image's kubelet refuses to start: " + reason + "."})
	}
	return problems
}

var validFeatureGate = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// runtimeConfigValues are those that an apiserver understands (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/resourceconfig/helpers.go).
var runtimeConfigValues = choices{"true", "false"}

func runtimeConfigProblems(config map[string]string) []Problem {
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(config)) {
		at := Path{"runtime_config", Key(name)}
		problems = append(problems, runtimeConfigValues.problem(at, config[name])...)
		if name == "" || strings.ContainsAny(name, ",= \"") {
			problems = append(problems, Problem{at, fmt.Sprintf("%q is not the name of an API: those look like `api/all`, "+
				"`batch/v1` or `apps/v1/deployments`.", name)})
		}
	}
	return problems
}
