package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

func networkingAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "The cluster's network.",
		PlanModifiers:       []planmodifier.Object{replaceObject()},
		Attributes: map[string]schema.Attribute{
			"ip_family": schema.StringAttribute{
				Optional: true, MarkdownDescription: cluster.IPFamilies.String() + ". Default: `ipv4`.", Validators: notEmpty,
			},
			"pod_subnet": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The pods' subnet; with `dual` may be one of each family, with a comma between. Default: " +
					"`10.244.0.0/16`, `fd00:10:244::/56` or both.",
				Validators: notEmpty,
			},
			"service_subnet": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The services' subnet, likewise. Default: `10.96.0.0/16`, `fd00:10:96::/112` or both.",
				Validators:          notEmpty,
			},
			"api_server_address": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The address on this machine at which the API listens. Default: `127.0.0.1` or `::1`. Any " +
					"other lets other machines reach the API.",
				Validators: notEmpty,
			},
			"api_server_port": schema.Int32Attribute{
				Optional: true,
				MarkdownDescription: "The port on this machine at which the API listens, or `-1` for one that the container " +
					"engine chooses at each start. Default: one that is free.",
			},
			"disable_default_cni": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to leave out kind's CNI, for one of your own. Default: `false`.",
			},
			"kube_proxy_mode": schema.StringAttribute{
				Optional: true, MarkdownDescription: cluster.KubeProxyModes.String() + ". Default: `iptables`.", Validators: notEmpty,
			},
			"dns_search": schema.ListAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "The nodes' DNS search domains; an empty list means none. Default: this machine's.",
			},
		},
	}
}
