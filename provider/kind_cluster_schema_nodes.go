package provider

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

var notEmpty = []validator.String{stringvalidator.LengthAtLeast(1)}

func nodesAttribute() schema.ListNestedAttribute {
	return schema.ListNestedAttribute{
		Optional: true,
		Computed: true,
		MarkdownDescription: "The nodes to create. Several control planes get a load balancer in front of their APIs. " +
			"Default: one control plane.",
		Default:       listdefault.StaticValue(nodeList([]nodeModel{newNodeModel(cluster.ControlPlane)})),
		Validators:    []validator.List{listvalidator.SizeAtLeast(1)},
		PlanModifiers: []planmodifier.List{replaceNodes()},
		NestedObject: schema.NestedAttributeObject{
			Attributes: map[string]schema.Attribute{
				"role": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: cluster.Roles.String() + ".",
					Validators:          notEmpty,
				},
				"image": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "The node's image. Default: `node_image`.",
					Validators:          notEmpty,
				},
				"labels": schema.MapAttribute{
					Optional:            true,
					ElementType:         types.StringType,
					MarkdownDescription: "Labels of the Kubernetes node.",
				},
				"extra_mounts": schema.ListNestedAttribute{
					Optional:            true,
					MarkdownDescription: "Paths of this machine that the node sees.",
					NestedObject:        mountObject(),
				},
				"extra_port_mappings": schema.ListNestedAttribute{
					Optional:            true,
					MarkdownDescription: "Ports of the node that can be reached on this machine.",
					NestedObject:        portMappingObject(),
				},
				"kubeadm_config_patches": kubeadmPatchesAttribute("kubeadm reads `JoinConfiguration` alone on nodes other " +
					"than the first control plane: a patch that would have no effect on its node is refused."),
				"kubeadm_config_patches_json6902": kubeadmJSONPatchesAttribute(),
			},
		},
	}
}

func mountObject() schema.NestedAttributeObject {
	return schema.NestedAttributeObject{
		Attributes: map[string]schema.Attribute{
			"host_path": schema.StringAttribute{
				Required: true, MarkdownDescription: "The absolute path on this machine.", Validators: notEmpty,
			},
			"container_path": schema.StringAttribute{
				Required: true, MarkdownDescription: "The absolute path on the node.", Validators: notEmpty,
			},
			"read_only": schema.BoolAttribute{
				Optional: true, MarkdownDescription: "Whether the node can't write there. Default: `false`.",
			},
			"selinux_relabel": schema.BoolAttribute{
				Optional: true, MarkdownDescription: "Whether the files get the container's SELinux label. Default: `false`.",
			},
			"propagation": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Whether later mounts below the path carry over: " + cluster.MountPropagations.String() +
					". Default: `None`.",
				Validators: notEmpty,
			},
		},
	}
}

func portMappingObject() schema.NestedAttributeObject {
	return schema.NestedAttributeObject{
		Attributes: map[string]schema.Attribute{
			"container_port": schema.Int32Attribute{
				Required:            true,
				MarkdownDescription: "The port on the node.",
				Validators:          []validator.Int32{int32validator.Between(1, 65535)},
			},
			"host_port": schema.Int32Attribute{
				Optional: true,
				MarkdownDescription: "The port on this machine, or `-1` for one that the container engine chooses at each " +
					"start. Default: one that is free.",
			},
			"listen_address": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The address on this machine. Default: all.",
				Validators:          notEmpty,
			},
			"protocol": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: cluster.PortProtocols.String() + ". Default: `TCP`.",
				Validators:          notEmpty,
			},
		},
	}
}

func kubeadmPatchesAttribute(more string, modifiers ...planmodifier.List) schema.ListAttribute {
	return schema.ListAttribute{
		Optional:    true,
		ElementType: types.StringType,
		MarkdownDescription: "YAML documents, merged into the kubeadm documents of the same `kind` (and `apiVersion`, if " +
			"they have one) that kind generates: `ClusterConfiguration`, `InitConfiguration`, `JoinConfiguration`, " +
			"`KubeletConfiguration` and `KubeProxyConfiguration`. One that kind would drop in silence is refused. " + more,
		PlanModifiers: modifiers,
	}
}

func kubeadmJSONPatchesAttribute(modifiers ...planmodifier.List) schema.ListNestedAttribute {
	return schema.ListNestedAttribute{
		Optional:            true,
		MarkdownDescription: "RFC 6902 operations on the kubeadm documents that kind generates.",
		PlanModifiers:       modifiers,
		NestedObject: schema.NestedAttributeObject{
			Attributes: map[string]schema.Attribute{
				"group": schema.StringAttribute{
					Optional: true, MarkdownDescription: "The document's API group, such as `kubeadm.k8s.io`. Default, with " +
						"no version: whichever kind generates.", Validators: notEmpty,
				},
				"version": schema.StringAttribute{
					Optional: true, MarkdownDescription: "The document's API version, such as `v1beta4`.", Validators: notEmpty,
				},
				"kind": schema.StringAttribute{
					Required: true, MarkdownDescription: "The document's kind.", Validators: notEmpty,
				},
				"patch": schema.StringAttribute{
					Required: true, MarkdownDescription: "A list of operations, in JSON or YAML.", Validators: notEmpty,
				},
			},
		},
	}
}
