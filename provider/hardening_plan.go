package provider

import (
	"context"
	"fmt"
	"strings"

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
	name := plan.Cluster.ValueString()
	observed, err := r.observe(ctx, name)
	if err != nil {
		// A cluster that is not there yet may be made by this very apply. Whatever else is wrong with one that is, is
		// reported by Read or, for a new resource, by Create.
		return
	}
	steps := apply.Plan(observed, want)
	warnSteps(&resp.Diagnostics, name, steps)
	if req.State.Raw.IsNull() || len(resp.RequiresReplace) > 0 {
		return
	}
	resp.Diagnostics.Append(plan.expect(ctx, observed, want, steps)...)
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

func (r *hardening) planDestroy(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var state hardeningModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Cluster.ValueString()
	if observed, err := r.observe(ctx, name); err == nil {
		warnSteps(&resp.Diagnostics, name, apply.PlanRestore(observed))
	}
}

// expect fills in what the observation will be after the steps, as far as that can be known before.
func (m *hardeningModel) expect(
	ctx context.Context, observed apply.Observation, want settings.Settings, steps []apply.Step,
) diag.Diagnostics {
	m.KubeletCA = types.StringUnknown()
	issuer := types.StringUnknown()
	if observed.Issuer != nil && !contains(steps, apply.CreateIssuer, "") {
		m.KubeletCA = types.StringValue(string(pki.EncodeBundle(observed.Issuer)))
		issuer = types.StringValue(observed.Issuer.Subject.String())
	}
	nodes := make(map[string]hardenedNodeModel, len(observed.Nodes))
	for _, node := range observed.Nodes {
		model := newHardenedNodeModel(observed, node)
		if node.APIServer != nil {
			model.VerifiesKubelets = types.BoolValue(want.VerifyKubelets)
		}
		if contains(steps, apply.IssueServing, node.Name) {
			model.Certificate = certificateModel{
				Verified:   types.BoolValue(true),
				Problem:    types.StringNull(),
				Issuer:     issuer,
				SHA256:     types.StringUnknown(),
				NotAfter:   types.StringUnknown(),
				RenewAfter: types.StringUnknown(),
			}.object()
		}
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

func warnUnverified(diags *diag.Diagnostics) {
	diags.AddAttributeWarning(verifyKubeletsPath, "The apiserver will not verify kubelets",
		"With verify_kubelets = false, whoever can answer at a node's address can read and inject what passes through "+
			"logs, exec, attach and port-forward. The kubelets get certificates that other clients can verify.")
}

// warnSteps shows what an apply will do where a user would want to know of it: what restarts, what is replaced, and a CA
// that others may have to be told of.
func warnSteps(diags *diag.Diagnostics, name string, steps []apply.Step) {
	var lines []string
	swaps := false
	for i, step := range steps {
		effect := step.Kind.Effect()
		if effect == apply.Swap || effect == apply.Restart || step.Kind == apply.CreateIssuer {
			lines = append(lines, fmt.Sprintf("%d. node %s: %s (%s)\n   Takes effect: %s. Verified: %s. If a later step fails: %s.",
				i+1, step.Node, step.Kind, step.Reason, effect, step.Kind.Verified(), step.Kind.Undone()))
		}
		swaps = swaps || effect == apply.Swap
	}
	if len(lines) == 0 {
		return
	}
	detail := strings.Join(lines, "\n")
	if swaps {
		detail += "\n\nNew requests to the API are answered all the time. Connections that are held open, such as watches, " +
			"logs -f and exec, end once or twice and have to be made again; clients such as kubectl and controllers watch " +
			"again by themselves."
	}
	diags.AddAttributeWarning(path.Root("cluster"),
		fmt.Sprintf("%d steps will be taken on the running cluster %s", len(steps), name), detail)
}
