package provider

import (
	"context"
	"net/netip"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Certificates of the user's own are in the configuration, the plan and the state; their keys are in the configuration
// alone. No key needs a version beside it: another key is another certificate's, which shows.

const (
	ownCAAttribute    = "kubelet_serving_ca"
	providedAttribute = "kubelet_serving_certificates"
	certificatePart   = "certificate"
	keyPart           = "private_key_wo"
)

var (
	ownAttributes = map[string]attr.Type{certificatePart: types.StringType, keyPart: types.StringType}
	ownType       = types.ObjectType{AttrTypes: ownAttributes}
	ownCAPath     = path.Root(ownCAAttribute)
)

func ownCASchema() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "A CA of your own that kubelets' serving certificates are of.",
		Optional:            true,
		Attributes: map[string]schema.Attribute{
			certificatePart: schema.StringAttribute{MarkdownDescription: settings.Describe(settings.NameOwnCA), Required: true},
			keyPart: schema.StringAttribute{
				MarkdownDescription: settings.Describe(settings.NameOwnCAKey), Optional: true, Sensitive: true, WriteOnly: true,
			},
		},
	}
}

func providedSchema() schema.Attribute {
	return schema.MapNestedAttribute{
		MarkdownDescription: "Serving certificates of your own, by node name; one for every node. With " +
			"`kubelet.serving_certificates.source = \"provided\"`.",
		Optional: true,
		NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
			certificatePart: schema.StringAttribute{MarkdownDescription: settings.Describe(settings.NameProvided), Required: true},
			keyPart: schema.StringAttribute{
				MarkdownDescription: settings.Describe(settings.NameProvidedKey), Required: true, Sensitive: true, WriteOnly: true,
			},
		}},
	}
}

// ownIn reads a certificate of the user's own, with its key where that is at hand. It returns false if the certificate isn't
// known yet.
func ownIn(object types.Object, at path.Path) (own pki.Own, known bool, diags diag.Diagnostics) {
	certificate, key := attribute[types.String](object, certificatePart), attribute[types.String](object, keyPart)
	if object.IsUnknown() || certificate.IsUnknown() {
		return own, false, nil
	}
	const title = "Invalid certificate or key of your own"
	var err error
	if own.Chain, err = pki.ParseChain([]byte(certificate.ValueString())); err != nil {
		diags.AddAttributeError(at.AtName(certificatePart), title, "Give another "+at.String()+".certificate: "+err.Error()+".")
		return own, false, diags
	}
	if key.IsNull() || key.IsUnknown() {
		return own, true, nil
	}
	if own.Key, err = pki.ParseKeyOf(own.Chain[0], []byte(key.ValueString())); err != nil {
		diags.AddAttributeError(at.AtName(keyPart), title, "Give the private key of the certificate beside it as "+at.String()+
			".private_key_wo: "+err.Error()+".")
	}
	return own, true, diags
}

// declareOwn reads what is the user's own, with keys from a configuration and without from a plan. It returns false if not
// all of it is known.
func (m *hardeningModel) declareOwn(want *settings.Settings) (known bool, diags diag.Diagnostics) {
	known = !m.OwnCA.IsUnknown() && !m.Provided.IsUnknown()
	if !m.OwnCA.IsNull() {
		own, ownKnown, ownDiags := ownIn(m.OwnCA, ownCAPath)
		known = known && ownKnown
		diags.Append(ownDiags...)
		want.OwnCA = &own
	}
	if !m.Provided.IsNull() {
		want.Provided = map[string]pki.Own{}
	}
	for node, element := range m.Provided.Elements() {
		object, _ := element.(types.Object)
		own, ownKnown, ownDiags := ownIn(object, providedPath(node))
		known = known && ownKnown
		diags.Append(ownDiags...)
		want.Provided[node] = own
	}
	if diags.HasError() || !known {
		return false, diags
	}
	diags.Append(problemsOf(want.CheckOwn(), "Change it: ")...)
	return true, diags
}

func providedPath(node string) path.Path { return path.Root(providedAttribute).AtMapKey(node) }

// own adds to what is declared the keys, which the configuration alone has, and judges all of it by the time and by the
// cluster's nodes.
func (r *hardening) own(ctx context.Context, name string, config tfsdk.Config, want *settings.Settings) diag.Diagnostics {
	if want.OwnCA == nil {
		return nil
	}
	var given hardeningModel
	diags := config.Get(ctx, &given)
	if diags.HasError() {
		return diags
	}
	_, ownDiags := given.declareOwn(want)
	diags.Append(ownDiags...)
	if diags.HasError() {
		return diags
	}
	diags.Append(given.checkOwnKey(*want)...)
	diags.Append(problemsOf(want.CheckOwnCA(r.clock.Now()), "Give another certificate: ")...)
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return diags // see checkVersion, which is silent for the same reason
	}
	nodes := map[string][]netip.Addr{}
	for _, node := range opened.Nodes() {
		nodes[node.Name()] = node.Addresses()
	}
	for _, problem := range want.CheckProvided(nodes, r.clock.Now()) {
		diags.AddAttributeError(providedPath(problem.Node), "No usable serving certificate for node "+problem.Node,
			"Correct "+providedPath(problem.Node).String()+": "+problem.Err.Error()+". Nothing was changed.")
	}
	return diags
}

// checkOwnKey sees that the CA's key is there if anything is to be signed with it, and is not if nothing is.
func (m *hardeningModel) checkOwnKey(want settings.Settings) diag.Diagnostics {
	var diags diag.Diagnostics
	if want.OwnCA == nil || m.OwnCA.IsUnknown() {
		return nil
	}
	given := !attribute[types.String](m.OwnCA, keyPart).IsNull()
	switch provides := want.ServingSource == settings.Provided; {
	case !provides && !given:
		diags.AddAttributeError(ownCAPath.AtName(keyPart), "The private key of your own CA is missing",
			"Set "+settings.NameOwnCAKey+": kubelets' certificates are signed with it. It is needed in every apply, also in one "+
				"that signs nothing.")
	case provides && given:
		diags.AddAttributeError(ownCAPath.AtName(keyPart), "The private key of your own CA is not needed",
			"Leave "+settings.NameOwnCAKey+" out: certificates that are provided are signed already.")
	}
	return diags
}

// observedOwnCA shows another CA of the user's own than the declared one where another is there.
func (m *hardeningModel) observedOwnCA(observed apply.Observation) types.Object {
	imported := m.Profile.IsNull() && observed.Own != nil
	switch {
	case m.OwnCA.IsNull() && !imported, observed.Own == nil:
		return types.ObjectNull(ownAttributes)
	case !imported && sameCertificates(attribute[types.String](m.OwnCA, certificatePart), pki.EncodeBundle(observed.Own...)):
		return m.OwnCA
	}
	return ownObject(string(pki.EncodeBundle(observed.Own...)))
}

// observedProvided shows what the nodes serve in place of what was provided for them.
func (m *hardeningModel) observedProvided(observed apply.Observation) types.Map {
	if m.Provided.IsNull() || m.Provided.IsUnknown() {
		return types.MapNull(ownType)
	}
	elements := m.Provided.Elements()
	for _, node := range observed.Nodes {
		element, given := elements[node.Name].(types.Object)
		served := pki.EncodeBundle(node.Serving.Chain...)
		if given && !sameCertificates(attribute[types.String](element, certificatePart), served) {
			elements[node.Name] = ownObject(string(served))
		}
	}
	return types.MapValueMust(ownType, elements)
}

func ownObject(certificate string) types.Object {
	return types.ObjectValueMust(ownAttributes, map[string]attr.Value{
		certificatePart: types.StringValue(certificate), keyPart: types.StringNull(),
	})
}

// sameCertificates compares what users may spell in several ways.
func sameCertificates(held types.String, found []byte) bool {
	chain, err := pki.ParseChain([]byte(held.ValueString()))
	return err == nil && strings.TrimSpace(string(pki.EncodeBundle(chain...))) == strings.TrimSpace(string(found))
}
