package apply

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// joining is what nodes that join later are to be given: the managed flags and fields, and those of them that have a value.
type joining struct {
	managed       map[string][]string // by component
	flags         map[string]controlplane.Flags
	managedFields []string
	fields        kubelet.Fields
}

// desiredJoins turns a declaration into what kubeadm should give nodes. What isn't declared is as it was before kubecomm,
// and so is what names a file of kubecomm's: a node that joins has none until the next apply, and neither an apiserver nor
// a kubelet would start without.
func desiredJoins(o JoinsObservation, want settings.Settings) joining {
	j := joining{managed: map[string][]string{}, flags: map[string]controlplane.Flags{}}
	for _, component := range settings.Components() {
		if o.Cluster == nil {
			break
		}
		name := string(component)
		declared := declaredFlags(want, component, nil)
		splits := splitsSigning(declared)
		for flag, values := range declared {
			if slices.ContainsFunc(values, ours) || !o.Cluster.Takes(name, values) {
				delete(declared, flag)
			}
		}
		found := ComponentObservation{Manifest: o.Cluster.Flags(name)}
		if o.ClusterBaseline != nil {
			found.Baseline = o.ClusterBaseline.Flags(name)
		}
		j.managed[name] = managedFlags(component, &found, declared)
		j.flags[name] = desiredFlags(component, &found, declared)
		if splits && signs(component) {
			// Until it has the CA for kubelet serving certificates, it is not to sign these with another.
			j.managed[name] = union(j.managed[name], signingFlags())
			splitSigning(j.flags[name], found.before())
		}
	}
	if o.Kubelet != nil {
		declared := declaredFields(want, "") // of no node that is there
		maps.DeleteFunc(declared, func(name string, _ json.RawMessage) bool { return ours(fileIn(declared, name)) })
		j.managedFields = managedFields(declared)
		j.fields = desiredFields(KubeletObservation{File: o.Kubelet, Baseline: o.KubeletBaseline}, declared)
	}
	return j
}

// joinsProblem says why kubeadm's ConfigMaps must be changed; empty if they need not.
func joinsProblem(o JoinsObservation, want settings.Settings) string {
	if o.Problem != nil {
		return fmt.Sprintf("kubeadm's ConfigMaps can't be read: %v", o.Problem)
	}
	j := desiredJoins(o, want)
	var problems []string
	for _, component := range settings.Components() {
		name := string(component)
		for _, flag := range j.managed[name] {
			differs := func(flag string) bool { return !slices.Equal(o.Cluster.Flags(name)[flag], j.flags[name][flag]) }
			if flag != signingCertFlag && slices.Contains(signingFlags(), flag) && differs(signingCertFlag) {
				continue // it goes with that one
			}
			if has, to := o.Cluster.Flags(name)[flag], j.flags[name][flag]; differs(flag) {
				problems = append(problems, fmt.Sprintf("%s would get %s, to be %s", name, flagText(flag, has), flagText(flag, to)))
			}
		}
	}
	for _, field := range j.managedFields {
		if !o.Kubelet.Equal(j.fields, field) {
			problems = append(problems,
				fmt.Sprintf("kubelets would get %s, to be %s", fieldText(o.Kubelet, field), fieldText(j.fields, field)))
		}
	}
	return strings.Join(problems, ", ")
}

// planJoins has it done by the first control plane.
func planJoins(observed Observation, want settings.Settings) []Step {
	if reason := joinsProblem(observed.Joins, want); reason != "" {
		return []Step{{ConfigureJoins, observed.Nodes[0].Name, reason}}
	}
	return nil
}
