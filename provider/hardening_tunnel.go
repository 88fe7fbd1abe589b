package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectdefault"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

const (
	tunnelGroup           = "tunnel"
	konnectivityAttribute = "konnectivity"
)

// konnectivityModel is how Konnectivity is declared to run.
type konnectivityModel struct {
	ServerImage   types.String `tfsdk:"server_image"`
	AgentImage    types.String `tfsdk:"agent_image"`
	ImageArchives types.List   `tfsdk:"image_archives"`
	Keepalive     types.String `tfsdk:"keepalive"`
	Identifiers   types.List   `tfsdk:"agent_identifiers"`
	ServerCount   types.String `tfsdk:"server_count_strategy"`
}

var (
	textsType              = types.ListType{ElemType: types.StringType}
	konnectivityAttributes = map[string]attr.Type{
		"server_image": types.StringType, "agent_image": types.StringType, "image_archives": textsType,
		"keepalive": types.StringType, "agent_identifiers": textsType, "server_count_strategy": types.StringType,
	}
	tunnelAttributes = withManaged(tunnelGroup, map[string]attr.Type{
		konnectivityAttribute: types.ObjectType{AttrTypes: konnectivityAttributes},
		sshAttribute:          types.ObjectType{AttrTypes: sshAttributes},
	})
	konnectivityServerAttributes = map[string]attr.Type{
		"ready_agents": types.Int64Type, "agents": textsType, "not_after": types.StringType, "problem": types.StringType,
	}
)

func tunnelSchema() schema.Attribute {
	text := func(name string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: settings.Describe(name), Optional: true}
	}
	texts := func(name string) schema.Attribute {
		return schema.ListAttribute{MarkdownDescription: settings.Describe(name), Optional: true, ElementType: types.StringType}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "What carries traffic from control planes to nodes. See the guide on tunnels.",
		Optional:            true,
		Computed:            true,
		Default: objectdefault.StaticValue(types.ObjectValueMust(tunnelAttributes, withManagedNull(tunnelGroup, map[string]attr.Value{
			konnectivityAttribute: types.ObjectNull(konnectivityAttributes), sshAttribute: types.ObjectNull(sshAttributes),
		}))),
		Attributes: withManagedSchema(tunnelGroup, map[string]schema.Attribute{
			sshAttribute: sshSchema(),
			konnectivityAttribute: schema.SingleNestedAttribute{
				MarkdownDescription: "How Konnectivity runs, with `mode = \"konnectivity\"`.",
				Optional:            true,
				Attributes: map[string]schema.Attribute{
					"server_image": text(settings.NameServerImage), "agent_image": text(settings.NameAgentImage),
					"image_archives": texts(settings.NameImageArchives), "keepalive": text(settings.NameKeepalive),
					"agent_identifiers":     texts(settings.NameAgentIdentifiers),
					"server_count_strategy": text(settings.NameServerCount),
				},
			},
		}),
	}
}

func konnectivityServerSchema() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The tunnel's server on this node. Null on workers, and where there is none.",
		Computed:            true,
		Attributes: map[string]schema.Attribute{
			"ready_agents": schema.Int64Attribute{
				MarkdownDescription: "How many nodes have an agent that says that it is connected to this server.", Computed: true,
			},
			"agents": schema.ListAttribute{
				MarkdownDescription: "The names of those nodes, in order.", ElementType: types.StringType, Computed: true,
			},
			"not_after": schema.StringAttribute{
				MarkdownDescription: "When the certificate expires that it shows to agents, in RFC 3339. Once two thirds of its life " +
					"are over, the next plan renews it.",
				Computed: true,
			},
			"problem": schema.StringAttribute{
				MarkdownDescription: "Why it doesn't work, or which nodes have no agent that is connected to it. Null if all is well.",
				Computed:            true,
			},
		},
	}
}

// declareTunnel adds what the objects say to the mode, which is managed. It returns false if not all of it is known.
func (m *hardeningModel) declareTunnel(ctx context.Context, want *settings.Settings) (known bool, diags diag.Diagnostics) {
	known, diags = m.declareSSH(ctx, want)
	konnectivityKnown, konnectivityDiags := m.declareKonnectivity(ctx, want)
	diags.Append(konnectivityDiags...)
	if !diags.HasError() {
		diags.Append(problemsOf(want.Tunnel.Check(), "Give another value: ")...)
	}
	return known && konnectivityKnown && !diags.HasError(), diags
}

// needless refuses what would have no effect with the declared mode.
func (m *hardeningModel) needless(attributeName string, mode settings.TunnelMode) (known bool, diags diag.Diagnostics) {
	declared := attribute[types.String](m.Tunnel, "mode")
	if !declared.IsUnknown() && declared.ValueString() != string(mode) {
		diags.AddAttributeError(path.Root(tunnelGroup).AtName(attributeName), "That tunnel is not declared",
			fmt.Sprintf("tunnel.%s would have no effect; set tunnel.mode = %q, or leave it out.", attributeName, mode))
	}
	return !declared.IsUnknown(), diags
}

func (m *hardeningModel) declareKonnectivity(ctx context.Context, want *settings.Settings) (known bool, diags diag.Diagnostics) {
	object := attribute[types.Object](m.Tunnel, konnectivityAttribute)
	if m.Tunnel.IsUnknown() || object.IsUnknown() {
		return false, nil
	}
	if object.IsNull() {
		return true, nil
	}
	var model konnectivityModel
	diags = object.As(ctx, &model, basetypes.ObjectAsOptions{})
	if diags.HasError() {
		return false, diags
	}
	options := &want.Tunnel.Konnectivity
	options.Images.Server, options.Images.Agent = model.ServerImage.ValueString(), model.AgentImage.ValueString()
	options.ServerCount = konnectivity.ServerCount(model.ServerCount.ValueString())
	archives, archivesKnown := managedValue(settings.Setting{Form: settings.Texts}, model.ImageArchives)
	identifiers, identifiersKnown := managedValue(settings.Setting{Form: settings.Texts}, model.Identifiers)
	want.Tunnel.ImageArchives, options.Identifiers = archives, identifiers
	if text := model.Keepalive.ValueString(); text != "" {
		var err error
		if options.Keepalive, err = time.ParseDuration(text); err != nil {
			diags.AddAttributeError(settingPath(settings.NameKeepalive), "Invalid value for "+settings.NameKeepalive,
				fmt.Sprintf("Give another value: %q is not a duration such as \"1m\": %s.", text, err))
			return false, diags
		}
	}
	modeKnown, needless := m.needless(konnectivityAttribute, settings.Konnectivity)
	diags.Append(needless...)
	return modeKnown && archivesKnown && identifiersKnown && !model.ServerImage.IsUnknown() && !model.AgentImage.IsUnknown() &&
		!model.Keepalive.IsUnknown() && !model.ServerCount.IsUnknown(), diags
}

// checkArchives looks whether archives can be read when they are planned with, and not only once nodes are to be given them.
func checkArchives(want settings.Settings) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, archive := range want.Tunnel.ImageArchives {
		file, err := os.Open(archive)
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			diags.AddAttributeError(settingPath(settings.NameImageArchives), "An archive of images can't be read",
				"Write it, for example by docker save, or correct "+settings.NameImageArchives+".\n\nError: "+err.Error())
		}
	}
	return diags
}

// observedTunnel shows the mode as it was found, and of how a tunnel is declared to run, what was found to run otherwise.
func (m *hardeningModel) observedTunnel(observed apply.Observation) types.Object {
	object := attribute[types.Object](m.Tunnel, konnectivityAttribute)
	if object.IsNull() || object.IsUnknown() {
		object = types.ObjectNull(konnectivityAttributes)
	} else {
		object = observedKonnectivity(object, observed)
	}
	return types.ObjectValueMust(tunnelAttributes, m.observedManaged(tunnelGroup, observed, map[string]attr.Value{
		konnectivityAttribute: object, sshAttribute: m.observedSSH(observed),
	}))
}

// observedKonnectivity leaves what isn't declared, and what nothing was found of, as it is. Archives leave no trace that could
// be looked for.
func observedKonnectivity(declared types.Object, observed apply.Observation) types.Object {
	values := declared.Attributes()
	show := func(name string, other func(text string) (string, bool)) {
		if text, ok := values[name].(types.String); ok && !text.IsNull() && !text.IsUnknown() {
			if found, differs := other(text.ValueString()); differs {
				values[name] = types.StringValue(found)
			}
		}
	}
	show("server_image", func(text string) (string, bool) {
		return observed.OtherServer(func(o konnectivity.Options) string { return o.Images.Server }, text)
	})
	show("agent_image", func(text string) (string, bool) {
		return observed.OtherAgents(func(o konnectivity.Options) string { return o.Images.Agent }, text)
	})
	show("server_count_strategy", func(text string) (string, bool) {
		return observed.OtherAgents(func(o konnectivity.Options) string { return string(o.ServerCount) }, text)
	})
	show("keepalive", func(text string) (string, bool) {
		keepalive := func(o konnectivity.Options) string { return o.Keepalive.String() }
		want, err := time.ParseDuration(text)
		if err != nil {
			return "", false
		}
		if found, differs := observed.OtherServer(keepalive, want.String()); differs {
			return found, true
		}
		return observed.OtherAgents(keepalive, want.String())
	})
	if list, ok := values["agent_identifiers"].(types.List); ok && !list.IsNull() && !list.IsUnknown() {
		identifiers := func(o konnectivity.Options) string { return strings.Join(o.Identifiers, "&") }
		want, known := managedValue(settings.Setting{Form: settings.Texts}, list)
		if found, differs := observed.OtherAgents(identifiers, strings.Join(want, "&")); known && differs {
			values["agent_identifiers"] = managedList(strings.FieldsFunc(found, func(r rune) bool { return r == '&' }))
		}
	}
	return types.ObjectValueMust(konnectivityAttributes, values)
}

func newKonnectivityServer(observed apply.Observation, node apply.NodeObservation) types.Object {
	found := node.KonnectivityServer
	if node.APIServer == nil || !found.Present {
		return types.ObjectNull(konnectivityServerAttributes)
	}
	agents := observed.AgentsOf(node.Name)
	values := map[string]attr.Value{
		"ready_agents": types.Int64Value(int64(len(agents))), "agents": managedList(append(settings.Value{}, agents...)),
		"not_after": types.StringNull(), "problem": types.StringNull(),
	}
	if found.Serving != nil {
		values["not_after"] = types.StringValue(found.Serving.NotAfter.Format(time.RFC3339))
	}
	if problem := observed.KonnectivityProblem(node); problem != "" {
		values["problem"] = types.StringValue(problem)
	}
	return types.ObjectValueMust(konnectivityServerAttributes, values)
}

// konnectivityServerAfter is how it will be after the steps.
func konnectivityServerAfter(now types.Object, node string, steps []apply.Step) types.Object {
	switch {
	case contains(steps, apply.RemoveKonnectivityServer, node):
		return types.ObjectNull(konnectivityServerAttributes)
	case contains(steps, apply.InstallKonnectivityServer, node), contains(steps, apply.RunKonnectivityAgents, "") && !now.IsNull():
		return types.ObjectUnknown(konnectivityServerAttributes)
	}
	return now
}

// refusedTunnel tells of what has the place that a tunnel of kubecomm's would need.
func refusedTunnel(name string, err error) diag.Diagnostics {
	if taken, ok := errors.AsType[*apply.PortTakenError](err); ok {
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(settingPath(settings.NameSSHPort),
			"The port of SSH servers is taken",
			fmt.Sprintf("Every node of cluster %q is to have an SSH server at port %d, where %s already listens on node %s. Set "+
				"%s to a port that is free on every node, or stop that program. Nothing was changed.\n\nError: %s",
				name, taken.Port, taken.Program, taken.Node, settings.NameSSHPort, err))}
	}
	if err == nil {
		return nil
	}
	return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root(tunnelGroup).AtName("mode"),
		"The cluster has a Konnectivity of its own",
		fmt.Sprintf("Cluster %q has what another has put there, and kubecomm leaves that alone. Remove it, or leave out "+
			"tunnel.mode. Nothing was changed.\n\nError: %s", name, err))}
}
