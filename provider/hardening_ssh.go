package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const sshAttribute = "ssh"

// sshModel is how SSH tunnels are declared to run.
type sshModel struct {
	Port     types.Int64  `tfsdk:"port"`
	Rotation types.String `tfsdk:"rotate_keys_when_changed"`
}

var (
	sshAttributes     = map[string]attr.Type{"port": types.Int64Type, "rotate_keys_when_changed": types.StringType}
	sshNodeAttributes = map[string]attr.Type{
		"host_key": types.StringType, "client_key": types.StringType, "connected_nodes": textsType, "sha256": types.StringType,
		"problem": types.StringType,
	}
)

func sshSchema() schema.Attribute {
	const lastPort = 65535
	return schema.SingleNestedAttribute{
		MarkdownDescription: "How SSH tunnels run, with `mode = \"ssh\"`.",
		Optional:            true,
		Attributes: map[string]schema.Attribute{
			"port": schema.Int64Attribute{
				MarkdownDescription: settings.Describe(settings.NameSSHPort), Optional: true,
				Validators: []validator.Int64{int64validator.Between(1, lastPort)},
			},
			"rotate_keys_when_changed": schema.StringAttribute{
				MarkdownDescription: settings.Describe(settings.NameSSHRotation), Optional: true,
				Validators: []validator.String{stringvalidator.LengthBetween(1, settings.MaxKeyGeneration)},
			},
		},
	}
}

func sshNodeSchema() schema.Attribute {
	text := func(description string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Computed: true}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "What this node has of an SSH tunnel. Null where there is none.",
		Computed:            true,
		Attributes: map[string]schema.Attribute{
			"host_key":   text("The fingerprint of the key that the node's server shows, as `ssh-keygen -l` writes it."),
			"client_key": text("The fingerprint of the key that the control plane's proxy shows. Null on workers."),
			"connected_nodes": schema.ListAttribute{
				MarkdownDescription: "The names of the nodes to which the control plane's proxy is connected, in order. Null on workers.",
				ElementType:         types.StringType, Computed: true,
			},
			"sha256": text("SHA-256 digest of the installed program, in hexadecimal. Null if it is missing."),
			"problem": text("Why it isn't as an apply would leave it, which node the proxy doesn't reach, or which has shown another " +
				"host key than its own. Null if all is well."),
		},
	}
}

// declareSSH returns false if not all of it is known.
func (m *hardeningModel) declareSSH(ctx context.Context, want *settings.Settings) (known bool, diags diag.Diagnostics) {
	object := attribute[types.Object](m.Tunnel, sshAttribute)
	if m.Tunnel.IsUnknown() || object.IsUnknown() {
		return false, nil
	}
	if object.IsNull() {
		return true, nil
	}
	var model sshModel
	diags = object.As(ctx, &model, basetypes.ObjectAsOptions{})
	if diags.HasError() {
		return false, diags
	}
	want.Tunnel.SSH.Port = uint16(model.Port.ValueInt64()) //nolint:gosec // the schema bounds it
	want.Tunnel.SSH.KeyGeneration = model.Rotation.ValueString()
	modeKnown, needless := m.needless(sshAttribute, settings.SSH)
	diags.Append(needless...)
	return modeKnown && !model.Port.IsUnknown() && !model.Rotation.IsUnknown(), diags
}

// observedSSH leaves what isn't declared as it is.
func (m *hardeningModel) observedSSH(observed apply.Observation) types.Object {
	object := attribute[types.Object](m.Tunnel, sshAttribute)
	if object.IsNull() || object.IsUnknown() {
		return types.ObjectNull(sshAttributes)
	}
	values := object.Attributes()
	if port, ok := values["port"].(types.Int64); ok && !port.IsNull() && !port.IsUnknown() {
		if found, differs := observed.OtherSSHPort(uint16(port.ValueInt64())); differs { //nolint:gosec // the schema bounds it
			values["port"] = types.Int64Value(int64(found))
		}
	}
	if text, ok := values["rotate_keys_when_changed"].(types.String); ok && !text.IsNull() && !text.IsUnknown() {
		if found, differs := observed.OtherSSHGeneration(text.ValueString()); differs {
			values["rotate_keys_when_changed"] = types.StringValue(found)
		}
	}
	return types.ObjectValueMust(sshAttributes, values)
}

func newSSHNode(observed apply.Observation, node apply.NodeObservation) types.Object {
	found := node.SSH
	if !found.Server.Present() && !found.Proxy.Present() {
		return types.ObjectNull(sshNodeAttributes)
	}
	values := map[string]attr.Value{
		"host_key": types.StringNull(), "client_key": types.StringNull(), "connected_nodes": types.ListNull(types.StringType),
		"sha256": types.StringNull(), "problem": types.StringNull(),
	}
	if status := found.Server.Status; status != nil {
		values["host_key"] = types.StringValue(status.HostKey)
	}
	if digest := found.Server.SHA256(); digest != "" {
		values["sha256"] = types.StringValue(digest)
	}
	if status := found.Proxy.Status; status != nil {
		values["client_key"] = types.StringValue(status.Key)
		connected := settings.Value{}
		for _, peer := range status.Nodes {
			if peer.Connected {
				connected = append(connected, peer.Name)
			}
		}
		values["connected_nodes"] = managedList(connected)
	}
	problem := observed.SSHServerProblem(node)
	if problem == nil && node.APIServer != nil {
		problem = observed.SSHProxyProblem(node)
	}
	if problem != nil {
		values["problem"] = types.StringValue(problem.Error())
	}
	return types.ObjectValueMust(sshNodeAttributes, values)
}

// sshNodeAfter is how it will be after the steps. To install either end anywhere changes what the others say.
func sshNodeAfter(now types.Object, node string, steps []apply.Step) types.Object {
	switch {
	case contains(steps, apply.RemoveSSHServer, node):
		return types.ObjectNull(sshNodeAttributes)
	case contains(steps, apply.InstallSSHServer, ""), contains(steps, apply.InstallSSHProxy, ""):
		return types.ObjectUnknown(sshNodeAttributes)
	}
	return now
}
