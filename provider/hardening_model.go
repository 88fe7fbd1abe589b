package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// hardeningModel is the resource as plan, state and configuration hold it. Objects stay framework types, because in a
// plan any of them may be unknown.
type hardeningModel struct {
	Cluster   types.String `tfsdk:"cluster"`
	Profile   types.String `tfsdk:"profile"`
	Effective types.Map    `tfsdk:"effective"`
	APIServer types.Object `tfsdk:"apiserver"`
	Kubelet   types.Object `tfsdk:"kubelet"`

	ControllerManager types.Object `tfsdk:"controller_manager"`
	Scheduler         types.Object `tfsdk:"scheduler"`
	Etcd              types.Object `tfsdk:"etcd"`

	Tunnel types.Object `tfsdk:"tunnel"`

	OwnCA    types.Object `tfsdk:"kubelet_serving_ca"`
	Provided types.Map    `tfsdk:"kubelet_serving_certificates"`

	KubeletCA types.String   `tfsdk:"kubelet_ca"`
	Nodes     types.Map      `tfsdk:"nodes"`
	Findings  types.List     `tfsdk:"findings"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
}

type servingModel struct {
	Source   types.String `tfsdk:"source"`
	Validity types.String `tfsdk:"validity"`
	Rotation types.String `tfsdk:"rotate_when_changed"`
}

type hardenedNodeModel struct {
	Role               types.String `tfsdk:"role"`
	Addresses          types.List   `tfsdk:"addresses"`
	VerifiesKubelets   types.Bool   `tfsdk:"verifies_kubelets"`
	Certificate        types.Object `tfsdk:"kubelet_serving_certificate"`
	Client             types.Object `tfsdk:"kubelet_client_certificate"`
	Approver           types.Object `tfsdk:"kubelet_serving_approver"`
	KonnectivityServer types.Object `tfsdk:"konnectivity_server"`
	SSH                types.Object `tfsdk:"ssh_tunnel"`
}

type certificateModel struct {
	Verified   types.Bool   `tfsdk:"verified"`
	Problem    types.String `tfsdk:"problem"`
	Issuer     types.String `tfsdk:"issuer"`
	SHA256     types.String `tfsdk:"sha256"`
	NotAfter   types.String `tfsdk:"not_after"`
	RenewAfter types.String `tfsdk:"renew_after"`
}

var (
	servingAttributes = map[string]attr.Type{
		"source": types.StringType, "validity": types.StringType, "rotate_when_changed": types.StringType,
	}
	kubeletAttributes = withManaged(kubeletGroup, map[string]attr.Type{
		"serving_certificates":  types.ObjectType{AttrTypes: servingAttributes},
		"max_parallel_restarts": types.Int64Type,
		perNodeAttribute:        types.MapType{ElemType: nodeKubeletType},
	})
	certificateAttributes = map[string]attr.Type{
		"verified":    types.BoolType,
		"problem":     types.StringType,
		"issuer":      types.StringType,
		"sha256":      types.StringType,
		"not_after":   types.StringType,
		"renew_after": types.StringType,
	}
	hardenedNodeAttributes = map[string]attr.Type{
		"role":                        types.StringType,
		"addresses":                   types.ListType{ElemType: types.StringType},
		"verifies_kubelets":           types.BoolType,
		"kubelet_serving_certificate": types.ObjectType{AttrTypes: certificateAttributes},
		"kubelet_client_certificate":  types.ObjectType{AttrTypes: clientAttributes},
		"kubelet_serving_approver":    types.ObjectType{AttrTypes: approverAttributes},
		"konnectivity_server":         types.ObjectType{AttrTypes: konnectivityServerAttributes},
		"ssh_tunnel":                  types.ObjectType{AttrTypes: sshNodeAttributes},
	}
	hardenedNodesType = types.ObjectType{AttrTypes: hardenedNodeAttributes}
)

// declared reads the settings. It returns false if one of them is not known yet.
func (m *hardeningModel) declared(ctx context.Context) (settings.Settings, bool, diag.Diagnostics) {
	effective, known := m.effectiveValues()
	overrides, overridesKnown := m.overrides()
	want := settings.Of(effective)
	want.Override(overrides)
	diags := checkManaged(effective, overrides)
	if known {
		diags.Append(checkTogether(effective)...)
	}
	serving, servingDiags := m.serving(ctx)
	diags.Append(servingDiags...)
	restarts := m.maxParallelRestarts()
	if diags.HasError() || !known || !overridesKnown || restarts.IsUnknown() || serving.Validity.IsUnknown() ||
		serving.Rotation.IsUnknown() {
		return want, false, diags
	}
	validity, err := settings.ParseValidity(serving.Validity.ValueString())
	if err != nil {
		diags.AddError("Invalid certificate lifetime", err.Error())
		return want, false, diags
	}
	want.ServingValidity = validity
	want.CAGeneration = serving.Rotation.ValueString()
	want.KubeletRestarts = int(restarts.ValueInt64())
	ownKnown, ownDiags := m.declareOwn(&want)
	diags.Append(ownDiags...)
	tunnelKnown, tunnelDiags := m.declareTunnel(ctx, &want)
	diags.Append(tunnelDiags...)
	return want, ownKnown && tunnelKnown && !diags.HasError(), diags
}

// serving reads the settings of serving certificates. Parts that are not known come back unknown.
func (m *hardeningModel) serving(ctx context.Context) (servingModel, diag.Diagnostics) {
	certificates := attribute[types.Object](m.Kubelet, "serving_certificates")
	if certificates.IsNull() || certificates.IsUnknown() {
		unknown := types.StringUnknown()
		return servingModel{Source: unknown, Validity: unknown, Rotation: unknown}, nil
	}
	var serving servingModel
	diags := certificates.As(ctx, &serving, basetypes.ObjectAsOptions{})
	return serving, diags
}

// maxParallelRestarts is nothing that can be observed: an imported resource has the default.
func (m *hardeningModel) maxParallelRestarts() types.Int64 {
	restarts := attribute[types.Int64](m.Kubelet, "max_parallel_restarts")
	if restarts.IsNull() {
		return types.Int64Value(int64(settings.Defaults().KubeletRestarts))
	}
	return restarts
}

// attribute returns an object's attribute of that type; null if it has none.
func attribute[T attr.Value](object types.Object, name string) T {
	value, _ := object.Attributes()[name].(T)
	return value
}

// observe fills the model with what was observed. Of the settings, one that matches the observation keeps its spelling.
func (m *hardeningModel) observe(ctx context.Context, observed apply.Observation) diag.Diagnostics {
	serving, diags := m.serving(ctx)
	if diags.HasError() {
		return diags
	}
	source := m.observedSource(serving.Source, observed)
	m.KubeletCA = types.StringNull()
	if observed.Issuer != nil {
		m.KubeletCA = types.StringValue(string(pki.EncodeBundle(observed.Issuer)))
	}
	m.Kubelet = types.ObjectValueMust(kubeletAttributes,
		m.observedManaged(kubeletGroup, observed, map[string]attr.Value{
			"serving_certificates": types.ObjectValueMust(servingAttributes, map[string]attr.Value{
				"source":              source,
				"validity":            m.observedValidity(serving.Validity, observed),
				"rotate_when_changed": m.observedRotation(serving, observed),
			}),
			"max_parallel_restarts": m.maxParallelRestarts(),
			perNodeAttribute:        m.observedNodeKubelets(observed),
		}))
	for _, group := range managedGroups {
		*m.groups()[group] = types.ObjectValueMust(withManaged(group, nil), m.observedManaged(group, observed, map[string]attr.Value{}))
	}
	m.Tunnel = m.observedTunnel(observed)
	m.OwnCA, m.Provided = m.observedOwnCA(observed), m.observedProvided(observed)
	if m.Profile.IsNull() { // imported
		m.Profile = types.StringValue(string(settings.DefaultProfile))
	}
	if m.Effective.IsNull() || m.Effective.IsUnknown() {
		m.Effective = m.effectiveAttribute()
	}
	m.Findings = findingsAttribute(observed.Findings())
	nodes := make(map[string]hardenedNodeModel, len(observed.Nodes))
	for _, node := range observed.Nodes {
		nodes[node.Name] = newHardenedNodeModel(observed, node)
	}
	return append(diags, m.setNodes(ctx, nodes)...)
}

func (m *hardeningModel) setNodes(ctx context.Context, nodes map[string]hardenedNodeModel) diag.Diagnostics {
	var diags diag.Diagnostics
	m.Nodes, diags = types.MapValueFrom(ctx, hardenedNodesType, nodes)
	return diags
}

// observedSource returns the held source if it is where certificates come from.
func (m *hardeningModel) observedSource(held types.String, observed apply.Observation) types.String {
	effective, _ := m.effectiveValues()
	declared := settings.Source(effective[settings.NameServingSource].String())
	switch found := observed.ServingSource(declared); {
	case held.IsUnknown():
		return types.StringNull()
	case declared == found:
		return held
	case found == "":
		return types.StringNull()
	default:
		return types.StringValue(string(found))
	}
}

// requests reports whether kubelets are declared to request their serving certificates.
func (m *hardeningModel) requests() bool {
	effective, _ := m.effectiveValues()
	return effective[settings.NameServingSource].String() == string(settings.CSR)
}

// observedRotation returns what the CA was asked for by, where that is declared, or imported.
func (m *hardeningModel) observedRotation(held servingModel, observed apply.Observation) types.String {
	effective, _ := m.effectiveValues()
	generation := observed.Generation()
	switch {
	case held.Rotation.IsNull() && m.Profile.IsNull() && generation != "": // imported
		return types.StringValue(generation)
	case held.Rotation.IsNull() || held.Rotation.IsUnknown():
		return types.StringNull()
	case effective[settings.NameServingSource] == nil || observed.Issuer == nil:
		return held.Rotation // nobody issues, or a new CA is due anyway
	case generation == "":
		return types.StringNull()
	}
	return types.StringValue(generation)
}

// observedValidity returns the lifetime of the first verified certificate that differs from the one in state, or else
// the one in state. How long those live that kubecomm doesn't issue is none of its business.
func (m *hardeningModel) observedValidity(state types.String, observed apply.Observation) types.String {
	effective, _ := m.effectiveValues()
	switch settings.Source(effective[settings.NameServingSource].String()) {
	case settings.CSR, settings.Provided:
		return state
	}
	held, err := settings.ParseValidity(state.ValueString())
	if err != nil {
		state = types.StringNull()
	}
	for _, node := range observed.Nodes {
		leaf := node.Serving.Leaf()
		if leaf == nil || node.Serving.Problem != nil {
			continue
		}
		if validity := pki.Lifetime(leaf); validity != held {
			return types.StringValue(settings.FormatValidity(validity))
		}
	}
	return state
}

func newHardenedNodeModel(observed apply.Observation, node apply.NodeObservation) hardenedNodeModel {
	addresses := make([]attr.Value, len(node.Addresses))
	for i, address := range node.Addresses {
		addresses[i] = types.StringValue(address.String())
	}
	model := hardenedNodeModel{
		Role:               types.StringValue(string(node.Role)),
		Addresses:          types.ListValueMust(types.StringType, addresses),
		VerifiesKubelets:   types.BoolNull(),
		Certificate:        newCertificateModel(node.Serving).object(),
		Client:             types.ObjectNull(clientAttributes),
		Approver:           newApproverModel(node.Approver, observed.ApproverAccess).object(),
		KonnectivityServer: newKonnectivityServer(observed, node),
		SSH:                newSSHNode(observed, node),
	}
	if node.APIServer != nil {
		model.Client = newClientModel(observed, node.APIServer).object()
		model.VerifiesKubelets = types.BoolValue(observed.VerifiesKubelets(node.APIServer))
	}
	return model
}

func newCertificateModel(serving apply.ServingObservation) certificateModel {
	model := certificateModel{Verified: types.BoolValue(serving.Problem == nil)}
	if serving.Problem != nil {
		model.Problem = types.StringValue(serving.Problem.Error())
	}
	if leaf := serving.Leaf(); leaf != nil {
		model.Issuer = types.StringValue(leaf.Issuer.String())
		model.SHA256 = types.StringValue(pki.Fingerprint(leaf))
		model.NotAfter = types.StringValue(leaf.NotAfter.Format(time.RFC3339))
		if !serving.Files.Requests {
			model.RenewAfter = types.StringValue(pki.RenewAfter(leaf).Format(time.RFC3339))
		}
	}
	return model
}

func (m certificateModel) object() types.Object {
	return types.ObjectValueMust(certificateAttributes, map[string]attr.Value{
		"verified":    m.Verified,
		"problem":     m.Problem,
		"issuer":      m.Issuer,
		"sha256":      m.SHA256,
		"not_after":   m.NotAfter,
		"renew_after": m.RenewAfter,
	})
}
