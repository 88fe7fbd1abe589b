package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// ValidateConfig lets the domain judge the configuration as a whole, because most of its rules look at more than one
// attribute.
func (r *kindCluster) ValidateConfig(
	ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse,
) {
	var config kindClusterModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	spec, diags := config.spec(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(problemDiagnostics(spec.Problems())...)
	if config.WaitForReady.ValueBool() && spec.Networking.DisableDefaultCNI {
		resp.Diagnostics.AddAttributeError(path.Root("wait_for_ready"), invalidSummary,
			"Without kind's CNI the nodes don't become Ready before you have installed one, so creation would wait in vain. "+
				"Leave wait_for_ready out.")
	}
}

const invalidSummary = "Invalid kind cluster"

// problemDiagnostics puts each problem on the attribute that it is about. Terraform shows where a top-level attribute is,
// but not one inside, so that is said.
func problemDiagnostics(problems []cluster.Problem) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, problem := range problems {
		reason := problem.Reason
		if len(problem.Path) > 1 {
			reason = problem.String()
		}
		diags.AddAttributeError(attributePath(problem.Path), invalidSummary, reason)
	}
	return diags
}

func attributePath(steps cluster.Path) path.Path {
	at := path.Empty()
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			at = at.AtName(step)
		case int:
			at = at.AtListIndex(step)
		case cluster.Key:
			at = at.AtMapKey(string(step))
		}
	}
	return at
}

// noTilde refuses paths that only a shell understands.
type noTilde struct{}

var _ validator.String = noTilde{}

func (noTilde) Description(context.Context) string { return "must not begin with ~" }

func (v noTilde) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (noTilde) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if strings.HasPrefix(req.ConfigValue.ValueString(), "~") {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid path",
			`A path that begins with ~ would be taken literally. Use pathexpand("`+req.ConfigValue.ValueString()+`").`)
	}
}
