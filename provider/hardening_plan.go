package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// ModifyPlan looks at the running cluster and shows what an apply would do: on the attributes that will change, and as
// warnings where it is felt.
func (r *hardening) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		r.planDestroy(ctx, req, resp)
		return
	}
	var plan hardeningModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	want, known, diags := plan.declared(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !known || plan.Cluster.IsUnknown() {
		return
	}
	if !want.VerifyKubelets {
		warnUnverified(&resp.Diagnostics)
	}
	plan.Effective = plan.effectiveAttribute()
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("effective"), plan.Effective)...)
	name := plan.Cluster.ValueString()
	effective, _ := plan.effectiveValues()
	warnJoins(&resp.Diagnostics, effective)
	overrides, _ := plan.overrides()
	resp.Diagnostics.Append(r.checkNodes(ctx, name, overrides)...)
	resp.Diagnostics.Append(r.checkVersion(ctx, name, effective, overrides)...)
	resp.Diagnostics.Append(r.own(ctx, name, req.Config, &want)...)
	resp.Diagnostics.Append(problemsOf(settings.CheckTime(effective, r.clock.Now()), "Give another value: ")...)
	resp.Diagnostics.Append(checkProgram(want, apply.CheckProgram(nil, want))...)
	resp.Diagnostics.Append(checkArchives(want)...)
	resp.Diagnostics.Append(nodeProblemsOf(overrides.CheckTime(r.clock.Now()), "Give another value: ")...)
	if resp.Diagnostics.HasError() {
		return
	}
	observed, err := r.lookedAt(ctx, name)
	if err != nil {
		// A cluster that is not there yet may be made by this very apply. Whatever else is wrong with one that is, is
		// reported by Read or, for a new resource, by Create.
		return
	}
	resp.Diagnostics.Append(checkProgram(want, apply.CheckProgram(&observed, want))...)
	resp.Diagnostics.Append(refusedTunnel(name, apply.CheckTunnel(observed, want))...)
	for _, problem := range apply.CheckClientCAs(name, observed, want) {
		resp.Diagnostics.Append(lackingCA(problem))
	}
	if resp.Diagnostics.HasError() {
		return
	}
	steps := apply.Plan(observed, want)
	warnRole(&resp.Diagnostics, apply.CheckRole(name, observed, want))
	warnSteps(&resp.Diagnostics, name, observed, steps)
	if req.State.Raw.IsNull() || len(resp.RequiresReplace) > 0 {
		return
	}
	resp.Diagnostics.Append(plan.expect(ctx, observed, want, steps)...)
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	if len(steps) > 0 && resp.Plan.Raw.Equal(req.State.Raw) {
		// No attribute shows what the steps mend, such as a kubelet that wasn't restarted after an edit of its
		// configuration, or a CA's key that is missing on one control plane. Without a difference, Terraform would not
		// have them done.
		plan.Nodes = unknownNodes(plan.Nodes, steps)
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
	if len(steps) > 0 { // any of which may be the end of a finding
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("findings"), types.ListUnknown(findingType))...)
	}
}

// unknownNodes leaves open how the nodes will be on which steps are taken.
func unknownNodes(nodes types.Map, steps []apply.Step) types.Map {
	elements := nodes.Elements()
	for _, step := range steps {
		elements[step.Node] = types.ObjectUnknown(hardenedNodeAttributes)
	}
	return types.MapValueMust(hardenedNodesType, elements)
}

func (r *hardening) planDestroy(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var state hardeningModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Cluster.ValueString()
	if observed, err := r.lookedAt(ctx, name); err == nil {
		warnSteps(&resp.Diagnostics, name, observed, apply.PlanRestore(observed))
	}
}

// expect fills in what the observation will be after the steps, as far as that can be known before.
func (m *hardeningModel) expect(
	ctx context.Context, observed apply.Observation, want settings.Settings, steps []apply.Step,
) diag.Diagnostics {
	m.KubeletCA = types.StringNull()
	issuer := types.StringUnknown()
	switch {
	case contains(steps, apply.CreateIssuer, ""):
		m.KubeletCA = types.StringUnknown()
	case want.OwnCA != nil:
		ca := want.OwnCA.Chain[0]
		m.KubeletCA = types.StringValue(string(pki.EncodeBundle(ca)))
		issuer = types.StringValue(ca.Subject.String())
	case observed.Issuer != nil:
		m.KubeletCA = types.StringValue(string(pki.EncodeBundle(observed.Issuer)))
		issuer = types.StringValue(observed.Issuer.Subject.String())
	}
	nodes := make(map[string]hardenedNodeModel, len(observed.Nodes))
	for _, node := range observed.Nodes {
		model := newHardenedNodeModel(observed, node)
		if node.APIServer != nil {
			model.VerifiesKubelets = types.BoolValue(want.VerifyKubelets)
		}
		if contains(steps, apply.IssueServing, node.Name) || m.requests() && contains(steps, apply.ConfigureKubelet, node.Name) {
			model.Certificate = certificateModel{
				Verified:   types.BoolValue(true),
				Problem:    types.StringNull(),
				Issuer:     issuer,
				SHA256:     types.StringUnknown(),
				NotAfter:   types.StringUnknown(),
				RenewAfter: types.StringUnknown(),
			}.object()
		}
		if contains(steps, apply.RestoreServing, node.Name) || contains(steps, apply.InstallServing, node.Name) {
			model.Certificate = types.ObjectUnknown(certificateAttributes)
		}
		model.Client = clientAfter(model.Client, observed, steps)
		model.KonnectivityServer = konnectivityServerAfter(model.KonnectivityServer, node.Name, steps)
		model.SSH = sshNodeAfter(model.SSH, node.Name, steps)
		model.Approver = approverAfter(model.Approver, node.Name, steps)
		nodes[node.Name] = model
	}
	return m.setNodes(ctx, nodes)
}

// contains looks for a step of a kind on a node, or on any node if the name is empty.
func contains(steps []apply.Step, kind apply.Kind, node string) bool {
	for _, step := range steps {
		if step.Kind == kind && (node == "" || step.Node == node) {
			return true
		}
	}
	return false
}
