package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

type kindClusterModel struct {
	Name                            types.String   `tfsdk:"name"`
	NodeImage                       types.String   `tfsdk:"node_image"`
	Nodes                           types.List     `tfsdk:"nodes"`
	Networking                      types.Object   `tfsdk:"networking"`
	FeatureGates                    types.Map      `tfsdk:"feature_gates"`
	RuntimeConfig                   types.Map      `tfsdk:"runtime_config"`
	KubeadmConfigPatches            types.List     `tfsdk:"kubeadm_config_patches"`
	KubeadmConfigPatchesJSON6902    types.List     `tfsdk:"kubeadm_config_patches_json6902"`
	ContainerdConfigPatches         types.List     `tfsdk:"containerd_config_patches"`
	ContainerdConfigPatchesJSON6902 types.List     `tfsdk:"containerd_config_patches_json6902"`
	KubeconfigPath                  types.String   `tfsdk:"kubeconfig_path"`
	WaitForReady                    types.Bool     `tfsdk:"wait_for_ready"`
	KeepOnFailure                   types.Bool     `tfsdk:"keep_on_failure"`
	Timeouts                        timeouts.Value `tfsdk:"timeouts"`

	Kubeconfig           types.String `tfsdk:"kubeconfig"`
	Endpoint             types.String `tfsdk:"endpoint"`
	ClusterCACertificate types.String `tfsdk:"cluster_ca_certificate"`
	ClientCertificate    types.String `tfsdk:"client_certificate"`
	ClientKey            types.String `tfsdk:"client_key"`
	Members              types.List   `tfsdk:"members"`
}

type nodeModel struct {
	Role                         types.String `tfsdk:"role"`
	Image                        types.String `tfsdk:"image"`
	Labels                       types.Map    `tfsdk:"labels"`
	ExtraMounts                  types.List   `tfsdk:"extra_mounts"`
	ExtraPortMappings            types.List   `tfsdk:"extra_port_mappings"`
	KubeadmConfigPatches         types.List   `tfsdk:"kubeadm_config_patches"`
	KubeadmConfigPatchesJSON6902 types.List   `tfsdk:"kubeadm_config_patches_json6902"`
}

type mountModel struct {
	HostPath       types.String `tfsdk:"host_path"`
	ContainerPath  types.String `tfsdk:"container_path"`
	ReadOnly       types.Bool   `tfsdk:"read_only"`
	SELinuxRelabel types.Bool   `tfsdk:"selinux_relabel"`
	Propagation    types.String `tfsdk:"propagation"`
}

type portMappingModel struct {
	ContainerPort types.Int32  `tfsdk:"container_port"`
	HostPort      types.Int32  `tfsdk:"host_port"`
	ListenAddress types.String `tfsdk:"listen_address"`
	Protocol      types.String `tfsdk:"protocol"`
}

type jsonPatchModel struct {
	Group   types.String `tfsdk:"group"`
	Version types.String `tfsdk:"version"`
	Kind    types.String `tfsdk:"kind"`
	Patch   types.String `tfsdk:"patch"`
}

type networkingModel struct {
	IPFamily          types.String `tfsdk:"ip_family"`
	PodSubnet         types.String `tfsdk:"pod_subnet"`
	ServiceSubnet     types.String `tfsdk:"service_subnet"`
	APIServerAddress  types.String `tfsdk:"api_server_address"`
	APIServerPort     types.Int32  `tfsdk:"api_server_port"`
	DisableDefaultCNI types.Bool   `tfsdk:"disable_default_cni"`
	KubeProxyMode     types.String `tfsdk:"kube_proxy_mode"`
	DNSSearch         types.List   `tfsdk:"dns_search"`
}

var (
	mountType = objectType(map[string]attr.Type{
		"host_path": types.StringType, "container_path": types.StringType, "read_only": types.BoolType,
		"selinux_relabel": types.BoolType, "propagation": types.StringType,
	})
	portMappingType = objectType(map[string]attr.Type{
		"container_port": types.Int32Type, "host_port": types.Int32Type, "listen_address": types.StringType,
		"protocol": types.StringType,
	})
	jsonPatchType = objectType(map[string]attr.Type{
		"group": types.StringType, "version": types.StringType, "kind": types.StringType, "patch": types.StringType,
	})
	nodeType = objectType(map[string]attr.Type{
		"role": types.StringType, "image": types.StringType, "labels": types.MapType{ElemType: types.StringType},
		"extra_mounts": types.ListType{ElemType: mountType}, "extra_port_mappings": types.ListType{ElemType: portMappingType},
		"kubeadm_config_patches":          types.ListType{ElemType: types.StringType},
		"kubeadm_config_patches_json6902": types.ListType{ElemType: jsonPatchType},
	})
	memberType = objectType(map[string]attr.Type{
		"name": types.StringType, "role": types.StringType, "addresses": types.ListType{ElemType: types.StringType},
	})
)

func objectType(attributes map[string]attr.Type) types.ObjectType {
	return types.ObjectType{AttrTypes: attributes}
}

// newNodeModel is a node of which only the role is known.
func newNodeModel(role cluster.Role) nodeModel {
	return nodeModel{
		Role:                         types.StringValue(string(role)),
		Image:                        types.StringNull(),
		Labels:                       types.MapNull(types.StringType),
		ExtraMounts:                  types.ListNull(mountType),
		ExtraPortMappings:            types.ListNull(portMappingType),
		KubeadmConfigPatches:         types.ListNull(types.StringType),
		KubeadmConfigPatchesJSON6902: types.ListNull(jsonPatchType),
	}
}

func (n nodeModel) value() attr.Value {
	return types.ObjectValueMust(nodeType.AttrTypes, map[string]attr.Value{
		"role": n.Role, "image": n.Image, "labels": n.Labels, "extra_mounts": n.ExtraMounts,
		"extra_port_mappings":             n.ExtraPortMappings,
		"kubeadm_config_patches":          n.KubeadmConfigPatches,
		"kubeadm_config_patches_json6902": n.KubeadmConfigPatchesJSON6902,
	})
}

func nodeList(nodes []nodeModel) types.List {
	values := make([]attr.Value, len(nodes))
	for i, node := range nodes {
		values[i] = node.value()
	}
	return types.ListValueMust(nodeType, values)
}

// nodeModels takes a list of nodes apart. One that isn't known yet is left blank.
func nodeModels(ctx context.Context, list types.List) ([]nodeModel, diag.Diagnostics) {
	return elements[nodeModel](ctx, list)
}

// elements takes a list of objects apart. One that isn't known yet is left at its zero value, whose fields are null.
func elements[M any](ctx context.Context, list types.List) ([]M, diag.Diagnostics) {
	var diags diag.Diagnostics
	models := make([]M, len(list.Elements()))
	for i, element := range list.Elements() {
		object, ok := element.(types.Object)
		if !ok || object.IsNull() || object.IsUnknown() {
			continue
		}
		diags.Append(object.As(ctx, &models[i], basetypes.ObjectAsOptions{})...)
	}
	return models, diags
}
