package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

var certificatesPath = path.Root("kubelet").AtName("serving_certificates")

// approverModel is who approves on a control plane what kubelets request.
type approverModel struct {
	Present bool
	Active  types.Bool
	SHA256  types.String
	Problem types.String
}

var approverAttributes = map[string]attr.Type{
	"active": types.BoolType, "sha256": types.StringType, "problem": types.StringType,
}

func approverSchema() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The program of kubecomm's that approves on this node what kubelets request. Null on workers, and " +
			"where there is none.",
		Computed: true,
		Attributes: map[string]schema.Attribute{
			"active": schema.BoolAttribute{MarkdownDescription: "Whether it runs and sees requests.", Computed: true},
			"sha256": schema.StringAttribute{
				MarkdownDescription: "SHA-256 digest of the installed program, in hexadecimal. Null if it is missing.", Computed: true,
			},
			"problem": schema.StringAttribute{
				MarkdownDescription: "Why it isn't as an apply would leave it. Null if it is.", Computed: true,
			},
		},
	}
}

func newApproverModel(found apply.ApproverObservation, access apply.AccountObservation) approverModel {
	model := approverModel{Present: found.Present, Active: types.BoolValue(found.Active)}
	if found.SHA256 != "" {
		model.SHA256 = types.StringValue(found.SHA256)
	}
	switch {
	case found.Problem != nil:
		model.Problem = types.StringValue(found.Problem.Error())
	case access.Known && access.Problem != "":
		model.Problem = types.StringValue("it may not do what it is for: " + access.Problem)
	}
	return model
}

func (m approverModel) object() types.Object {
	if !m.Present {
		return types.ObjectNull(approverAttributes)
	}
	return types.ObjectValueMust(approverAttributes, map[string]attr.Value{
		"active": m.Active, "sha256": m.SHA256, "problem": m.Problem,
	})
}

// approverAfter is how it will be after the steps.
func approverAfter(now types.Object, node string, steps []apply.Step) types.Object {
	switch {
	case contains(steps, apply.InstallApprover, node):
		return approverModel{Present: true, Active: types.BoolValue(true), SHA256: types.StringUnknown()}.object()
	case contains(steps, apply.RemoveApprover, node):
		return types.ObjectNull(approverAttributes)
	case contains(steps, apply.AllowApprover, "") && !now.IsNull():
		attributes := now.Attributes()
		attributes["problem"] = types.StringNull()
		return types.ObjectValueMust(approverAttributes, attributes)
	}
	return now
}

// checkValidity refuses a lifetime where it isn't kubecomm that issues.
func (m *hardeningModel) checkValidity() diag.Diagnostics {
	var diags diag.Diagnostics
	certificates := attribute[types.Object](m.Kubelet, "serving_certificates")
	source := attribute[types.String](certificates, "source")
	validity := attribute[types.String](certificates, "validity")
	if source.ValueString() == string(settings.CSR) && !validity.IsNull() {
		diags.AddAttributeError(certificatesPath.AtName("validity"), "Invalid value for kubelet.serving_certificates.validity",
			"Leave it out: with source = \"csr\" it is the controller manager that issues, and how long what it issues is valid is "+
				"for its --cluster-signing-duration to say, a year by default.")
	}
	return diags
}

// checkProgram tells of a build that can't do what is declared.
func checkProgram(want settings.Settings, err error) diag.Diagnostics {
	switch {
	case err == nil:
		return nil
	case want.Tunnel.Mode == settings.SSH:
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(settingPath(settings.NameTunnelMode),
			"This build of the provider can't make SSH tunnels",
			"With tunnel.mode = \"ssh\" a program of kubecomm's runs on every node. Use a released provider, or one that was built "+
				"with `make build`; or set another tunnel.mode.\n\nError: "+err.Error())}
	}
	return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(certificatesPath.AtName("source"),
		"This build of the provider can't have kubelets request their serving certificates",
		"With source = \"csr\" a program of kubecomm's runs on control planes. Use a released provider, or one that was built with "+
			"`make build`; or let kubecomm issue the certificates itself, with source = \"dedicated_ca\".\n\nError: "+err.Error())}
}
