package apply

import (
	"crypto/x509"
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
	issues, asks := want.ServingSource != "", asksFor(want)
	issuerProblem := issuerProblem(observed, want)
	var steps []Step
	if issues {
		steps = planCertificates(observed, want, issuerProblem)
	}
	components := func(are func(settings.Component) bool) {
		for _, component := range settings.Components() {
			for _, node := range observed.Nodes {
				if !are(component) {
					break
				}
				if reasons := componentProblems(observed, node, component, want, issuerProblem); len(reasons) > 0 {
					steps = append(steps, Step{replaces[component], node.Name, strings.Join(reasons, ", ")})
				}
			}
		}
	}
	if asks { // who approves and who signs are there before anything is requested
		components(signs)
		steps = append(steps, planApprover(observed)...)
	}
	steps = append(steps, planClient(observed, want)...)
	// A kubelet that stops to request its certificate serves one that no apiserver may insist on any more.
	kubeletsLast := !issues && slices.ContainsFunc(observed.Nodes, func(n NodeObservation) bool { return n.Serving.Files.Requests })
	if !kubeletsLast {
		steps = append(steps, planKubelets(observed, want, issuerProblem)...)
	}
	steps = append(steps, planKonnectivity(observed, want)...)
	steps = append(steps, planSSH(observed, want)...)
	components(func(component settings.Component) bool { return !asks || !signs(component) })
	if want.Tunnel.Mode != settings.Konnectivity {
		steps = append(steps, planRemoveKonnectivity(observed, "it is no longer declared")...)
	}
	if want.Tunnel.Mode != settings.SSH {
		steps = append(steps, planRemoveSSH(observed, "it is no longer declared")...)
	}
	if asks {
		steps = append(steps, planTokens(observed, want)...)
	}
	if kubeletsLast {
		steps = append(steps, planKubelets(observed, want, issuerProblem)...)
	}
	steps = append(steps, planUnbind(observed, declaredIdentity(want),
		func(c KubeletClientObservation) *x509.Certificate { return c.afterPlan(observed.Time) }, "it is no longer declared")...)
	if !asks {
		steps = append(steps, planRemoveApprover(observed, "nothing is to be requested any more")...)
	}
	for _, node := range observed.Nodes {
		if !issues && observed.issued(node) {
			steps = append(steps, Step{RestoreServing, node.Name, "it serves a certificate of kubecomm's, and none is declared"})
		}
	}
	return append(steps, planJoins(observed, want)...)
}

// planKubelets returns the steps that give kubelets what is declared, and those that request their serving certificates a
// first one where they need it.
func planKubelets(observed Observation, want settings.Settings, issuerProblem string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		var reasons []string
		if reason := kubeletProblem(node.Kubelet, declaredFields(want, node.Name)); reason != "" {
			reasons = append(reasons, reason)
		}
		if step := planRequest(node, want, issuerProblem); step != nil {
			reasons = append(reasons, step.Reason)
		}
		if len(reasons) > 0 {
			steps = append(steps, Step{ConfigureKubelet, node.Name, strings.Join(reasons, ", ")})
		}
	}
	return steps
}

// planRequests returns the steps of those kubelets alone that request another certificate.
func planRequests(observed Observation, want settings.Settings, issuerProblem string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		if step := planRequest(node, want, issuerProblem); step != nil {
			steps = append(steps, *step)
		}
	}
	return steps
}

// planRequest returns the step that has a kubelet request a certificate; nil if it need not.
func planRequest(node NodeObservation, want settings.Settings, issuerProblem string) *Step {
	reason := requestReason(node)
	if issuerProblem != "" {
		reason = "the CA is new"
	}
	if !asksFor(want) || reason == "" {
		return nil
	}
	return &Step{ConfigureKubelet, node.Name, reason}
}

// planApprover returns the steps that have what kubelets request approved, on every control plane: any of them may be lost.
func planApprover(observed Observation) []Step {
	var steps []Step
	if access := observed.ApproverAccess; access.Known && access.Problem != "" {
		steps = append(steps, Step{AllowApprover, observed.Nodes[0].Name, access.Problem})
	}
	for _, node := range observed.controlPlanes() {
		if node.Approver.Problem != nil {
			steps = append(steps, Step{InstallApprover, node.Name, node.Approver.Problem.Error()})
		}
	}
	return steps
}

// planTokens returns the steps that give approvers other tokens where apiservers will refuse an issuer that they accepted.
func planTokens(observed Observation, want settings.Settings) []Step {
	var steps []Step
	for _, node := range observed.controlPlanes() {
		found := &node.APIServer.ComponentObservation
		desired := desiredFlags(settings.APIServer, found, declaredFlags(want, settings.APIServer, nil))
		for _, issuer := range found.Running[issuerFlag] {
			if !slices.Contains(desired[issuerFlag], issuer) {
				steps = append(steps, Step{InstallApprover, node.Name, "its token may be of " + issuer + ", which is to be refused"})
				break
			}
		}
	}
	return steps
}

// issuerFlag names the issuers of service account tokens that an apiserver accepts, the one first that it issues as.
const issuerFlag = "service-account-issuer"

func planRemoveApprover(observed Observation, reason string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		if node.Approver.Present {
			steps = append(steps, Step{RemoveApprover, node.Name, reason})
		}
	}
	if observed.ApproverAccess.Present {
		steps = append(steps, Step{DisallowApprover, observed.Nodes[0].Name, reason})
	}
	return steps
}

// componentProblems says why a node's component must be replaced.
func componentProblems(
	observed Observation, node NodeObservation, component settings.Component, want settings.Settings, issuerProblem string,
) []string {
	found := node.component(component)
	if found == nil {
		return nil
	}
	newIssuer := component == settings.APIServer && want.VerifyKubelets && newTrust(observed, want, issuerProblem) != ""
	bundle := observed.bundle(want)
	if newIssuer {
		bundle = nil
	}
	declared := declaredFlags(want, component, bundle)
	desired, names := desiredFlags(component, found, declared), managedFlags(component, found, declared)
	if newIssuer {
		names = slices.DeleteFunc(names, func(name string) bool { return name == kubeletCAFlag })
		return append([]string{"the CA is new"}, flagProblems(found, desired, names)...)
	}
	problems := flagProblems(found, desired, names)
	if signs(component) {
		problems = shortenSigning(found, desired, names)
	}
	if component == settings.APIServer && len(problems) == 0 && node.APIServer.Trust.Changed {
		problems = append(problems, changedSince(kubeletCAFlag, found.Running[kubeletCAFlag]))
	}
	if component == settings.APIServer && len(problems) == 0 {
		problems = found.changedDocuments()
	}
	return problems
}

// changedDocuments says which files of kubecomm's that a component runs with don't have the content any more that they are
// named after.
func (c *ComponentObservation) changedDocuments() []string {
	var problems []string
	for _, flag := range settings.DocumentFlags() {
		for _, file := range c.Running[flag] {
			if content, there := c.Documents[file]; ours(file) && (!there || !asNamed(file, content)) {
				problems = append(problems, changedSince(flag, []string{file}))
			}
		}
	}
	return problems
}

func changedSince(flag string, files []string) string {
	return fmt.Sprintf("it runs with %s, which was changed since", flagText(flag, files))
}

// PlanRestore returns the steps that put back what was there before kubecomm: Plan's, undone in reverse.
func PlanRestore(observed Observation) []Step {
	const reason = "destroy"
	var steps []Step
	if joinsProblem(observed.Joins, settings.Settings{}) != "" {
		steps = append(steps, Step{ConfigureJoins, observed.Nodes[0].Name, reason})
	}
	steps = append(steps, planRestoreClient(observed, reason)...)
	for _, component := range slices.Backward(settings.Components()) {
		for _, node := range observed.Nodes {
			found := node.component(component)
			if found != nil && len(flagProblems(found, desiredFlags(component, found, nil), managedFlags(component, found, nil))) > 0 {
				steps = append(steps, Step{replaces[component], node.Name, reason})
			}
		}
	}
	for _, node := range observed.Nodes {
		if kubeletProblem(node.Kubelet, nil) != "" {
			steps = append(steps, Step{ConfigureKubelet, node.Name, reason})
		}
	}
	steps = append(steps, planUnbind(observed, nil,
		func(c KubeletClientObservation) *x509.Certificate { return c.afterRestore(observed.Time) }, reason)...)
	steps = append(steps, planRemoveApprover(observed, reason)...)
	steps = append(steps, planRemoveKonnectivity(observed, reason)...)
	steps = append(steps, planRemoveSSH(observed, reason)...)
	for _, kind := range []Kind{RestoreServing, RemoveFiles} {
		for _, node := range observed.Nodes {
			steps = append(steps, Step{kind, node.Name, reason})
		}
	}
	return steps
}

func planIssuer(observed Observation, problem string) []Step {
	var steps []Step
	for _, node := range observed.controlPlanes() {
		switch {
		case problem != "" && len(steps) == 0:
			steps = append(steps, Step{CreateIssuer, node.Name, problem})
		case problem != "":
			steps = append(steps, Step{CopyIssuer, node.Name, "every control plane has it, so that any of them can be lost"})
		case !node.APIServer.IssuerCurrent:
			steps = append(steps, Step{CopyIssuer, node.Name, "its files are missing or differ"})
		}
	}
	return steps
}

func issuerProblem(observed Observation, want settings.Settings) string {
	switch {
	case want.OwnCA != nil:
		return ownIssuerProblem(observed, want.OwnCA)
	case observed.Own != nil:
		return "the user's own is no longer declared"
	case observed.Issuer == nil:
		return "no control plane has it with its key"
	case !observed.Time.Before(pki.RenewAfter(observed.Issuer)):
		return "two thirds of its life are over"
	case want.CAGeneration != "" && want.CAGeneration != pki.Generation(observed.Issuer):
		return fmt.Sprintf("a new one is asked for by rotate_when_changed = %q", want.CAGeneration)
	}
	return ""
}

// planCertificates gives kubelets certificates: first the CA that issues them, then what has apiservers trust it, and then
// the certificates.
func planCertificates(observed Observation, want settings.Settings, issuerProblem string) []Step {
	var issuer, serving []Step
	if want.OwnCA != nil {
		issuer = planAdopt(observed, issuerProblem)
	} else {
		issuer = planIssuer(observed, issuerProblem)
	}
	newTrust := newTrust(observed, want, issuerProblem)
	switch want.ServingSource {
	case settings.CSR: // kubelets request theirs in steps of their own, when there is who approves and signs
		return append(issuer, planTrust(observed, newTrust, planRequests(observed, want, newTrust))...)
	case settings.Provided:
		serving = planProvided(observed, want)
	default:
		serving = planServing(observed, want, newTrust)
	}
	return slices.Concat(issuer, planTrust(observed, newTrust, serving), serving)
}

func planServing(observed Observation, want settings.Settings, issuerProblem string) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		reason := servingProblem(node, want, observed.Time)
		if issuerProblem != "" {
			reason = "the CA is new"
		}
		if reason != "" {
			steps = append(steps, Step{IssueServing, node.Name, reason})
		}
	}
	return steps
}

// servingProblem says why a node needs a new serving certificate; empty if it doesn't.
func servingProblem(node NodeObservation, want settings.Settings, now time.Time) string {
	leaf := node.Serving.Leaf()
	switch {
	case node.Serving.Problem != nil:
		return "the one it serves is refused: " + node.Serving.Problem.Error()
	case leaf == nil:
		return "it serves none"
	case node.Serving.Files.Requests:
		return "the one it serves it has requested"
	case !pki.Names(leaf, node.Name, node.Addresses):
		return "the one it serves names other addresses than the node has"
	case pki.Lifetime(leaf) != want.ServingValidity:
		return fmt.Sprintf("the one it serves is valid for %s, declared is %s",
			settings.FormatValidity(pki.Lifetime(leaf)), settings.FormatValidity(want.ServingValidity))
	case !now.Before(pki.RenewAfter(leaf)):
		return "two thirds of its life are over"
	case want.OwnCA != nil && !sameChain(node.Serving.Chain[1:], want.OwnCA.ServedAbove()):
		return "it serves it with other certificates above it than the declared ones"
	}
	return ""
}

// managedFlags are those of a component that go back to what they were before kubecomm where they aren't declared.
func managedFlags(component settings.Component, found *ComponentObservation, declared controlplane.Flags) []string {
	flags := union(settings.ManagedFlags(component), slices.Collect(maps.Keys(declared)))
	if component == settings.APIServer {
		flags = union(flags, []string{kubeletCAFlag})
	}
	// Who signs is left to others where kubecomm has no part in it.
	if signs(component) && (splitsSigning(declared) || found.splitsSigning()) {
		flags = union(flags, signingFlags())
	}
	return flags
}

// managedFields are the same of the kubelet's configuration.
func managedFields(declared kubelet.Fields) []string {
	return union(settings.ManagedKubeletFields(), []string{kubelet.BootstrapField}, slices.Collect(maps.Keys(declared)))
}

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// declaredFlags are a component's flags that a declaration stands for. The file of an issuer that is still to be made has
// no name yet; it is left out.
func declaredFlags(want settings.Settings, component settings.Component, bundle []byte) controlplane.Flags {
	flags := controlplane.Flags{}
	maps.Copy(flags, want.Flags[component])
	if component == settings.APIServer && want.VerifyKubelets && bundle != nil {
		flags[kubeletCAFlag] = []string{bundleFile(bundle)}
	}
	if signs(component) && asksFor(want) {
		declareSigner(flags)
	}
	if component == settings.APIServer {
		for flag, document := range want.Documents {
			flags[flag] = []string{documentFile(document)}
		}
	}
	return flags
}

func declaredFields(want settings.Settings, node string) kubelet.Fields {
	fields := kubelet.Fields{}
	for name, value := range want.KubeletFieldsOn(node) {
		// Strings, numbers, lists and maps of them can always be written.
		fields[name], _ = json.Marshal(value)
	}
	switch want.ServingSource {
	case settings.CSR:
		fields[kubelet.BootstrapField] = json.RawMessage("true")
	case settings.DedicatedCA, settings.Provided:
		fields[kubelet.BootstrapField] = nil // whatever it was before: it would not serve what is issued
	}
	for name, document := range want.KubeletDocumentsOn(node) {
		fields[name], _ = json.Marshal(documentFile(document))
	}
	return fields
}

// desiredFlags are the managed flags with the values that a component should have. Flags that aren't declared are as
// they were before kubecomm. Where that isn't known, they are as the manifest has them, except for files of kubecomm's,
// which will go.
func desiredFlags(
	component settings.Component, found *ComponentObservation, declared controlplane.Flags,
) controlplane.Flags {
	before := found.before()
	desired := controlplane.Flags{}
	for _, name := range managedFlags(component, found, declared) {
		values, given := declared[name]
		if given {
			values = settings.FillIn(component, name, before[name], values)
		} else {
			values, given = before[name]
			given = given && !slices.ContainsFunc(values, ours)
		}
		if given {
			desired[name] = values
		}
	}
	if signs(component) && splitsSigning(declared) {
		splitSigning(desired, before)
	}
	return desired
}

// flagProblems says which of the named flags differ from what is desired, in the process or in the manifest.
func flagProblems(found *ComponentObservation, desired controlplane.Flags, names []string) []string {
	var problems []string
	for _, name := range names {
		running, written, want := found.Running[name], found.Manifest[name], desired[name]
		switch {
		case !slices.Equal(running, written):
			problems = append(problems,
				fmt.Sprintf("it runs with %s, but its manifest says %s", flagText(name, running), flagText(name, written)))
		case !slices.Equal(running, want):
			problems = append(problems,
				fmt.Sprintf("it runs with %s, to be %s", flagText(name, running), flagText(name, want)))
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

// desiredFields are the managed fields with the values that the kubelet should have, like desiredFlags. In place of a file of
// kubecomm's, which will go, comes the CA that kubeadm has kubelets know clients by: without any, they would refuse apiservers.
func desiredFields(k KubeletObservation, declared kubelet.Fields) kubelet.Fields {
	before := k.Baseline
	if before == nil {
		before = k.File
	}
	desired := kubelet.Fields{}
	for _, name := range managedFields(declared) {
		if value, given := declared[name]; given {
			desired[name] = value
		} else if ours(fileIn(before, name)) {
			desired[name], _ = json.Marshal(clusterCAFile)
		} else if value := before.Value(name); value != nil {
			desired[name] = value
		}
	}
	return desired
}

// kubeletProblem says why the kubelet must be given another configuration; empty if it need not. What isn't declared is
// looked for in its file alone, because what it makes of it may look otherwise: 0s stands for its default.
func kubeletProblem(k KubeletObservation, declared kubelet.Fields) string {
	desired := desiredFields(k, declared)
	var problems []string
	for _, name := range managedFields(declared) {
		_, isDeclared := declared[name]
		switch {
		case isDeclared && k.File.Value(name) == nil && k.Running.Equal(desired, name):
			// It does as declared by itself. To have it in the file as well isn't worth a restart.
		case !k.File.Equal(desired, name):
			problems = append(problems,
				fmt.Sprintf("its configuration has %s, to be %s", fieldText(k.File, name), fieldText(desired, name)))
		case isDeclared && k.Running == nil:
			problems = append(problems, fmt.Sprintf("what it runs with can't be read: %v", k.Problem))
		case isDeclared && !k.Running.Equal(desired, name):
			problems = append(problems, fmt.Sprintf("it runs with %s, to be %s", fieldText(k.Running, name), fieldText(desired, name)))
		}
	}
	if len(problems) == 0 {
		problems = k.changedDocuments()
	}
	if len(problems) == 0 && k.Stale {
		return "its configuration was changed after it started"
	}
	return strings.Join(problems, ", ")
}

// changedDocuments says which files of kubecomm's that its configuration names don't have the content any more that they
// are named after.
func (k KubeletObservation) changedDocuments() []string {
	var problems []string
	for _, field := range settings.KubeletDocumentFields() {
		file := fileIn(k.File, field)
		if content, there := k.Documents[file]; ours(file) && (!there || !asNamed(file, content)) {
			problems = append(problems, fmt.Sprintf("its configuration has %s, which was changed since", fieldText(k.File, field)))
		}
	}
	return problems
}

func fieldText(fields kubelet.Fields, name string) string {
	if value := fields.Value(name); value != nil {
		return name + ": " + string(value)
	}
	return "no " + name
}
