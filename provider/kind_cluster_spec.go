package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// unknownImage stands for an image that isn't known yet: its name tells nothing about its Kubernetes version.
const unknownImage = "(known after apply)"

// spec puts the model into the domain's terms. In a configuration that is only being validated, what isn't known yet is
// left at its zero value, about which the domain says nothing.
func (m kindClusterModel) spec(ctx context.Context) (cluster.Spec, diag.Diagnostics) {
	var diags diag.Diagnostics
	spec := cluster.Spec{
		Name:                  m.Name.ValueString(),
		NodeImage:             image(m.NodeImage),
		FeatureGates:          boolMap(m.FeatureGates),
		RuntimeConfig:         stringMap(m.RuntimeConfig),
		KubeadmPatches:        stringList(m.KubeadmConfigPatches),
		ContainerdPatches:     stringList(m.ContainerdConfigPatches),
		ContainerdJSONPatches: stringList(m.ContainerdConfigPatchesJSON6902),
	}
	if spec.NodeImage == "" {
		spec.NodeImage = cluster.DefaultNodeImage
	}
	spec.KubeadmJSONPatches = jsonPatches(ctx, m.KubeadmConfigPatchesJSON6902, &diags)
	spec.Networking = networking(ctx, m.Networking, &diags)
	nodes, found := nodeModels(ctx, m.Nodes)
	diags.Append(found...)
	for _, node := range nodes {
		spec.Nodes = append(spec.Nodes, node.spec(ctx, &diags))
	}
	if m.Nodes.IsUnknown() {
		// One node of which nothing is known: neither a missing control plane nor one that there is.
		spec.Nodes = []cluster.NodeSpec{{Image: unknownImage}}
	}
	return spec, diags
}

func (m nodeModel) spec(ctx context.Context, diags *diag.Diagnostics) cluster.NodeSpec {
	node := cluster.NodeSpec{
		Role:               cluster.Role(m.Role.ValueString()),
		Image:              image(m.Image),
		Labels:             stringMap(m.Labels),
		KubeadmPatches:     stringList(m.KubeadmConfigPatches),
		KubeadmJSONPatches: jsonPatches(ctx, m.KubeadmConfigPatchesJSON6902, diags),
	}
	mounts, found := elements[mountModel](ctx, m.ExtraMounts)
	diags.Append(found...)
	for _, mount := range mounts {
		node.ExtraMounts = append(node.ExtraMounts, cluster.Mount{
			HostPath:       mount.HostPath.ValueString(),
			ContainerPath:  mount.ContainerPath.ValueString(),
			Propagation:    mount.Propagation.ValueString(),
			ReadOnly:       mount.ReadOnly.ValueBool(),
			SELinuxRelabel: mount.SELinuxRelabel.ValueBool(),
		})
	}
	mappings, found := elements[portMappingModel](ctx, m.ExtraPortMappings)
	diags.Append(found...)
	for _, mapping := range mappings {
		node.ExtraPortMappings = append(node.ExtraPortMappings, mapping.spec())
	}
	return node
}

func (m portMappingModel) spec() cluster.PortMapping {
	mapping := cluster.PortMapping{
		ContainerPort: m.ContainerPort.ValueInt32(),
		HostPort:      m.HostPort.ValueInt32(),
		ListenAddress: m.ListenAddress.ValueString(),
		Protocol:      m.Protocol.ValueString(),
	}
	if m.ListenAddress.IsUnknown() || m.Protocol.IsUnknown() {
		mapping.HostPort = 0 // whether it is taken twice can't be told yet
	}
	return mapping
}

func networking(ctx context.Context, object types.Object, diags *diag.Diagnostics) cluster.Networking {
	if object.IsNull() || object.IsUnknown() {
		return cluster.Networking{}
	}
	for _, attribute := range object.Attributes() {
		if attribute.IsUnknown() {
			return cluster.Networking{} // the attributes are judged by one another
		}
	}
	var m networkingModel
	diags.Append(object.As(ctx, &m, basetypes.ObjectAsOptions{})...)
	network := cluster.Networking{
		IPFamily:          m.IPFamily.ValueString(),
		PodSubnet:         m.PodSubnet.ValueString(),
		ServiceSubnet:     m.ServiceSubnet.ValueString(),
		APIServerAddress:  m.APIServerAddress.ValueString(),
		APIServerPort:     m.APIServerPort.ValueInt32(),
		DisableDefaultCNI: m.DisableDefaultCNI.ValueBool(),
		KubeProxyMode:     m.KubeProxyMode.ValueString(),
	}
	if !m.DNSSearch.IsNull() {
		network.DNSSearch = append([]string{}, stringList(m.DNSSearch)...)
	}
	return network
}

func jsonPatches(ctx context.Context, list types.List, diags *diag.Diagnostics) []cluster.JSONPatch {
	models, found := elements[jsonPatchModel](ctx, list)
	diags.Append(found...)
	var patches []cluster.JSONPatch
	for _, model := range models {
		patch := cluster.JSONPatch{
			Group:   model.Group.ValueString(),
			Version: model.Version.ValueString(),
			Kind:    model.Kind.ValueString(),
			Patch:   model.Patch.ValueString(),
		}
		if model.Group.IsUnknown() || model.Version.IsUnknown() {
			patch.Kind = "" // what it is for can't be told yet
		}
		patches = append(patches, patch)
	}
	return patches
}

func image(value types.String) string {
	if value.IsUnknown() {
		return unknownImage
	}
	return value.ValueString()
}

// stringList keeps the position of elements that aren't known yet.
func stringList(list types.List) []string {
	var items []string
	for _, element := range list.Elements() {
		items = append(items, stringOf(element))
	}
	return items
}

func stringMap(values types.Map) map[string]string {
	items := map[string]string{}
	for key, value := range values.Elements() {
		items[key] = stringOf(value)
	}
	return items
}

func boolMap(values types.Map) map[string]bool {
	items := map[string]bool{}
	for key, value := range values.Elements() {
		if value, ok := value.(types.Bool); ok {
			items[key] = value.ValueBool()
		}
	}
	return items
}

// stringOf returns "" for what is null or not known yet.
func stringOf(value attr.Value) string {
	text, _ := value.(types.String)
	return text.ValueString()
}
