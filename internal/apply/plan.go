package apply

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Plan returns the steps that bring a cluster from what was observed to what is declared: none if it is there already.
func Plan(observed Observation, want settings.Settings) []Step {
	issuerProblem := issuerProblem(observed)
	steps := planIssuer(observed, issuerProblem)
	for _, node := range observed.Nodes {
		if issuerProblem != "" {
			steps = append(steps, Step{IssueServing, node.Name, "the CA is new"})
		} else if reason := servingProblem(node, want, observed.Time); reason != "" {
			steps = append(steps, Step{IssueServing, node.Name, reason})
		}
	}
	for _, node := range observed.Nodes {
		if reason := kubeletProblem(node.Kubelet, declaredFields(want)); reason != "" {
			steps = append(steps, Step{ConfigureKubelet, node.Name, reason})
		}
	}
	for _, node := range observed.Nodes {
		if reasons := apiserverProblems(observed, node.APIServer, want, issuerProblem); len(reasons) > 0 {
			steps = append(steps, Step{ReplaceAPIServer, node.Name, strings.Join(reasons, ", ")})
		}
	}
	return steps
}

// apiserverProblems says why a node's apiserver must be replaced.
func apiserverProblems(
	observed Observation, a *APIServerObservation, want settings.Settings, issuerProblem string,
) []string {
	if a == nil {
		return nil
	}
	if !want.VerifyKubelets || issuerProblem == "" {
		declared := declaredFlags(want, observed.bundle())
		return flagProblems(a, desiredFlags(a, declared), managedFlags(declared))
	}
	declared := declaredFlags(want, nil)
	names := slices.DeleteFunc(managedFlags(declared), func(name string) bool { return name == kubeletCAFlag })
	return append([]string{"the CA is new"}, flagProblems(a, desiredFlags(a, declared), names)...)
}

// PlanRestore returns the steps that put back what was there before kubecomm: Plan's, undone in reverse.
func PlanRestore(observed Observation) []Step {
	const reason = "destroy"
	var steps []Step
	for _, node := range observed.Nodes {
		if node.APIServer != nil && len(flagProblems(node.APIServer, desiredFlags(node.APIServer, nil), managedFlags(nil))) > 0 {
			steps = append(steps, Step{ReplaceAPIServer, node.Name, reason})
		}
	}
	for _, node := range observed.Nodes {
		if kubeletProblem(node.Kubelet, nil) != "" {
			steps = append(steps, Step{ConfigureKubelet, node.Name, reason})
		}
	}
	for _, kind := range []Kind{RestoreServing, RemoveFiles} {
		for _, node := range observed.Nodes {
			steps = append(steps, Step{kind, node.Name, reason})
		}
	}
	return steps
}

func planIssuer(observed Observation, problem string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		switch {
		case node.APIServer == nil:
		case problem != "" && len(steps) == 0:
			steps = append(steps, Step{CreateIssuer, node.Name, problem})
		case problem != "":
			steps = append(steps, Step{CopyIssuer, node.Name, "every control plane has it, so that any of them can be lost"})
		case !node.APIServer.IssuerCurrent || !node.APIServer.BundleCurrent:
			steps = append(steps, Step{CopyIssuer, node.Name, "its files are missing or differ"})
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

// managedFlags are those of the apiserver that go back to what they were before kubecomm where they aren't declared.
func managedFlags(declared controlplane.Flags) []string {
	return union([]string{kubeletCAFlag}, settings.ManagedAPIServerFlags(), slices.Collect(maps.Keys(declared)))
}

// managedFields are the same of the kubelet's configuration.
func managedFields(declared kubelet.Fields) []string {
	return union(settings.ManagedKubeletFields(), slices.Collect(maps.Keys(declared)))
}

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// declaredFlags are the apiserver's flags that a declaration stands for. The file of an issuer that is still to be made
// has no name yet; it is left out.
func declaredFlags(want settings.Settings, bundle []byte) controlplane.Flags {
	flags := controlplane.Flags{}
	maps.Copy(flags, want.APIServerFlags)
	if want.VerifyKubelets && bundle != nil {
		flags[kubeletCAFlag] = []string{bundleFileOf(bundle)}
	}
	return flags
}

func declaredFields(want settings.Settings) kubelet.Fields {
	fields := kubelet.Fields{}
	for name, value := range want.KubeletFields {
		// Strings, numbers, lists and maps of them can always be written.
		fields[name], _ = json.Marshal(value)
	}
	return fields
}

// desiredFlags are the managed flags with the values that the apiserver should have. Flags that aren't declared are as
// they were before kubecomm. Where that isn't known, they are as the manifest has them, except for files of kubecomm's,
// which will go.
func desiredFlags(a *APIServerObservation, declared controlplane.Flags) controlplane.Flags {
	before := a.Baseline
	if before == nil {
		before = a.Manifest
	}
	desired := controlplane.Flags{}
	for _, name := range managedFlags(declared) {
		values, given := declared[name]
		if !given {
			values, given = before[name]
			given = given && !slices.ContainsFunc(values, ours)
		}
		if given {
			desired[name] = values
		}
	}
	return desired
}

// flagProblems says which of the named flags differ from what is desired, in the process or in the manifest.
func flagProblems(a *APIServerObservation, desired controlplane.Flags, names []string) []string {
	var problems []string
	for _, name := range names {
		running, written, want := a.Running[name], a.Manifest[name], desired[name]
		switch {
		case !slices.Equal(running, written):
			problems = append(problems,
				fmt.Sprintf("it runs with %s, but its manifest says %s", flagText(name, running), flagText(name, written)))
		case !slices.Equal(running, want):
			problems = append(problems,
				fmt.Sprintf("it runs with %s, to be %s", flagText(name, running), flagText(name, want)))
		case name == kubeletCAFlag && slices.ContainsFunc(want, ours) && !a.BundleCurrent:
			problems = append(problems, fmt.Sprintf("it runs with %s, which was changed since", flagText(name, running)))
		}
	}
	return problems
}

func flagText(name string, values []string) string {
	if len(values) == 0 {
		return "no --" + name
	}
	return "--" + name + "=" + strings.Join(values, " --"+name+"=")
}

// desiredFields are the managed fields with the values that the kubelet should have, like desiredFlags.
func desiredFields(k KubeletObservation, declared kubelet.Fields) kubelet.Fields {
	before := k.Baseline
	if before == nil {
		before = k.File
	}
	desired := kubelet.Fields{}
	for _, name := range managedFields(declared) {
		if value, given := declared[name]; given {
			desired[name] = value
		} else if value, given := before[name]; given {
			desired[name] = value
		}
	}
	return desired
}

// kubeletProblem says why the kubelet must be given another configuration; empty if it need not.
func kubeletProblem(k KubeletObservation, declared kubelet.Fields) string {
	desired := desiredFields(k, declared)
	var problems []string
	for _, name := range managedFields(declared) {
		value, given := desired[name]
		switch {
		case !k.File.Equal(desired, name):
			problems = append(problems,
				fmt.Sprintf("its configuration has %s, to be %s", fieldText(name, k.File[name]), fieldText(name, value)))
		case given && k.Running == nil:
			problems = append(problems, fmt.Sprintf("what it runs with can't be read: %v", k.Problem))
		case given && !k.Running.Equal(desired, name):
			problems = append(problems,
				fmt.Sprintf("it runs with %s, to be %s", fieldText(name, k.Running[name]), fieldText(name, value)))
		}
	}
	if len(problems) == 0 && k.Stale {
		return "its configuration was changed after it started"
	}
	return strings.Join(problems, ", ")
}

func fieldText(name string, value []byte) string {
	if value == nil {
		return "no " + name
	}
	return name + ": " + string(value)
}
