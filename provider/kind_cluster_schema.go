package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

func (r *kindCluster) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A Kubernetes cluster on this machine, whose nodes are containers, made by " +
			"[kind](https://kind.sigs.k8s.io).\n\n" +
			"kind can't change a cluster, so most changes replace it. A creation that fails cleans up after itself and says " +
			"why. A cluster that was deleted by other means is planned again; a container engine that doesn't answer is an " +
			"error.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "The cluster's name: lower case letters, digits, dots and hyphens, at most 50. The names " +
					"of its containers begin with it.",
				Validators:    []validator.String{stringvalidator.LengthAtLeast(1)},
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"node_image": schema.StringAttribute{
				Optional: true,
				Computed: true,
				MarkdownDescription: "The image of nodes that name none, which decides the Kubernetes version. Default: " +
					"kind's own, `" + cluster.DefaultNodeImage + "`. A later default doesn't replace a cluster.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				PlanModifiers: []planmodifier.String{
					stringplanmodifier.UseStateForUnknown(), replaceForOtherImage(),
				},
			},
			"nodes":      nodesAttribute(),
			"networking": networkingAttribute(),
			"feature_gates": schema.MapAttribute{
				Optional:    true,
				ElementType: types.BoolType,
				MarkdownDescription: "[Feature gates](https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/) " +
					"of all Kubernetes components.",
				PlanModifiers: []planmodifier.Map{replaceMap()},
			},
			"runtime_config": schema.MapAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				MarkdownDescription: "APIs that the apiserver serves or not, such as `\"api/alpha\" = \"false\"`.",
				PlanModifiers:       []planmodifier.Map{replaceMap()},
			},
			"kubeadm_config_patches":          kubeadmPatchesAttribute("The cluster's patches come before the nodes'.", replaceList()),
			"kubeadm_config_patches_json6902": kubeadmJSONPatchesAttribute(replaceList()),
			"containerd_config_patches": schema.ListAttribute{
				Optional:    true,
				ElementType: types.StringType,
				MarkdownDescription: "TOML, merged into every node's containerd configuration. One that sets `version` only " +
					"applies to a configuration of that version.",
				PlanModifiers: []planmodifier.List{replaceList()},
			},
			"containerd_config_patches_json6902": schema.ListAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				MarkdownDescription: "RFC 6902 operations, in JSON or YAML, on every node's containerd configuration.",
				PlanModifiers:       []planmodifier.List{replaceList()},
			},
			"kubeconfig_path": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "A kubeconfig file that gets a context `kind-<name>`, which becomes the current one, and " +
					"loses it again with the cluster. If it goes missing or stops working, it is planned again. Default: none, " +
					"and the user's kubeconfig is left alone.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1), noTilde{}},
			},
			"wait_for_ready": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether creation lasts until every node is Ready, and fails if that takes longer than " +
					"`timeouts.create`. Default: `true`, but `false` with `networking.disable_default_cni`, because then " +
					"nodes only become Ready with a CNI.",
			},
			"keep_on_failure": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether a creation that fails leaves its nodes, for a look at them. Terraform then has the " +
					"cluster in its state as tainted: the next apply replaces it. Default: `false`.",
			},
			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{
				Create: true,
				CreateDescription: "How long creation may take, pulling images included, such as `20m`. Default: `" +
					defaultCreateTimeout.String() + "`.",
				Delete:            true,
				DeleteDescription: "How long deletion may take. Default: `" + defaultDeleteTimeout.String() + "`.",
			}),

			"kubeconfig":             outputAttribute("A kubeconfig with the administrator's credentials.", isSecret),
			"endpoint":               outputAttribute("The API's URL on this machine.", isPublic),
			"cluster_ca_certificate": outputAttribute("The certificate of the CA that the API is verified by, in PEM.", isPublic),
			"client_certificate":     outputAttribute("The administrator's client certificate, in PEM.", isPublic),
			"client_key":             outputAttribute("The administrator's private key, in PEM.", isSecret),
			"members": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The nodes that there are, control planes first. (`nodes` is what was asked for.)",
				PlanModifiers:       []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				NestedObject: schema.NestedAttributeObject{
					Attributes: map[string]schema.Attribute{
						"name": schema.StringAttribute{
							Computed:            true,
							MarkdownDescription: "The name of the container and of the Kubernetes node.",
						},
						"role": schema.StringAttribute{
							Computed:            true,
							MarkdownDescription: cluster.Roles.String() + ".",
						},
						"addresses": schema.ListAttribute{
							Computed:            true,
							ElementType:         types.StringType,
							MarkdownDescription: "Its IP addresses according to the container engine, IPv4 first.",
						},
					},
				},
			},
		},
	}
}

// secrecy says whether an output opens a door.
type secrecy string

const (
	isPublic secrecy = "public"
	isSecret secrecy = "secret"
)

func outputAttribute(description string, secret secrecy) schema.StringAttribute {
	return schema.StringAttribute{
		Computed:            true,
		Sensitive:           secret == isSecret,
		MarkdownDescription: description,
		PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
	}
}
