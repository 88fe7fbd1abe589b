package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func (r *hardening) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Secures the paths on which the control plane of a running kind cluster talks to its " +
			"nodes, whoever made the cluster. A change is applied in place. What is refreshed is what really runs: the " +
			"flags of the apiservers' processes, what kubelets say of their configuration and the certificates that they " +
			"serve, so that a change made by hand shows as drift. Destroying the resource puts back what was there " +
			"before.\n\n" +
			"Once every node works with them, flags and fields are also written into kubeadm's ConfigMaps, " +
			"`kube-system/kubeadm-config` and `kube-system/kubelet-config`: a node that `kubeadm join` adds later has them from " +
			"its first start. What needs a file of kubecomm's, such as a kubelet's certificate and the CAs that it knows " +
			"clients by, it gets from the next apply.\n\n" +
			"Private keys are never part of the plan or the state.",
		Attributes: map[string]schema.Attribute{
			"cluster": schema.StringAttribute{
				MarkdownDescription: "Name of the kind cluster. Where Terraform makes the cluster too, give this resource " +
					"`lifecycle { replace_triggered_by = [kubecomm_kind_cluster.NAME.cluster_ca_certificate] }`: a cluster " +
					"that is made anew has the same name, and would otherwise be hardened by the next apply only.",
				Required:      true,
				Validators:    []validator.String{stringvalidator.LengthAtLeast(1)},
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"profile": schema.StringAttribute{
				MarkdownDescription: "What attributes stand for that are left out: `kubeadm`, what was there before; " +
					"`baseline`, what nobody should rely on to be otherwise; `restricted`, more than some clients may be able " +
					"to do. What a profile says of an attribute is told there. Default: `" + string(settings.DefaultProfile) + "`.",
				Optional:   true,
				Computed:   true,
				Default:    stringdefault.StaticString(string(settings.DefaultProfile)),
				Validators: []validator.String{stringvalidator.OneOf(settings.Profiles()...)},
			},
			"effective": schema.MapAttribute{
				MarkdownDescription: "What is declared, by these attributes and by the profile, as texts by the attributes' paths. " +
					"What a node has in place of what is declared for all is there too, as `kubelet.nodes.NAME.tls_min_version`. " +
					"Where a profile doesn't say what a list is, but what it must have and what not, these are there with `+` and `-`.",
				Computed:    true,
				ElementType: types.StringType,
			},
			"apiserver":  managedGroupSchema(apiserverGroup, "Settings of every apiserver."),
			"kubelet":    kubeletSchema(),
			"kubelet_ca": kubeletCASchema(),

			ownCAAttribute:    ownCASchema(),
			providedAttribute: providedSchema(),

			controllerManagerGroup: managedGroupSchema(controllerManagerGroup, "Settings of every controller manager."),
			schedulerGroup:         managedGroupSchema(schedulerGroup, "Settings of every scheduler."),
			etcdGroup:              managedGroupSchema(etcdGroup, "Settings of every etcd."),

			tunnelGroup: tunnelSchema(),

			"nodes":    hardenedNodesSchema(),
			"findings": findingsSchema(),
			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{Create: true, Read: true, Update: true, Delete: true}),
		},
	}
}

// managedGroupSchema is that of an object with managed attributes alone.
func managedGroupSchema(group, description string) schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: description,
		Optional:            true,
		Computed:            true,
		Default:             objectdefault.StaticValue(types.ObjectValueMust(withManaged(group, nil), withManagedNull(group, nil))),
		Attributes:          withManagedSchema(group, nil),
	}
}

func kubeletSchema() schema.Attribute {
	defaults := settings.Defaults()
	restarts := int64(defaults.KubeletRestarts)
	certificates := defaultCertificates()
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Settings of every kubelet.",
		Optional:            true,
		Computed:            true,
		Default: objectdefault.StaticValue(types.ObjectValueMust(kubeletAttributes,
			withManagedNull(kubeletGroup, map[string]attr.Value{
				"serving_certificates":  certificates,
				"max_parallel_restarts": types.Int64Value(restarts),
				perNodeAttribute:        types.MapNull(nodeKubeletType),
			}))),
		Attributes: withManagedSchema(kubeletGroup, map[string]schema.Attribute{
			"serving_certificates": schema.SingleNestedAttribute{
				MarkdownDescription: "The certificates that kubelets show to the apiserver.",
				Optional:            true,
				Computed:            true,
				Default:             objectdefault.StaticValue(certificates),
				Attributes:          servingSchema(),
			},
			"max_parallel_restarts": schema.Int64Attribute{
				MarkdownDescription: settings.Describe("kubelet.max_parallel_restarts"),
				Optional:            true,
				Computed:            true,
				Default:             int64default.StaticInt64(restarts),
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
			},
			perNodeAttribute: nodeKubeletsSchema(),
		}),
	}
}

func defaultCertificates() types.Object {
	defaults := settings.Defaults()
	return types.ObjectValueMust(servingAttributes, map[string]attr.Value{
		"source":              types.StringNull(),
		"validity":            types.StringValue(settings.FormatValidity(defaults.ServingValidity)),
		"rotate_when_changed": types.StringNull(),
	})
}

func servingSchema() map[string]schema.Attribute {
	defaults := settings.Defaults()
	return map[string]schema.Attribute{
		"source": schema.StringAttribute{
			MarkdownDescription: settings.Describe("kubelet.serving_certificates.source"),
			Optional:            true,
			Validators:          []validator.String{stringvalidator.OneOf(settings.Sources()...)},
		},
		"validity": schema.StringAttribute{
			MarkdownDescription: settings.Describe("kubelet.serving_certificates.validity"),
			Optional:            true,
			Computed:            true,
			Default:             stringdefault.StaticString(settings.FormatValidity(defaults.ServingValidity)),
			Validators:          []validator.String{validityValidator{}},
		},
		"rotate_when_changed": schema.StringAttribute{
			MarkdownDescription: settings.Describe(settings.NameRotation),
			Optional:            true,
			Validators:          []validator.String{stringvalidator.UTF8LengthBetween(1, settings.MaxCAGeneration)},
		},
	}
}

func kubeletCASchema() schema.Attribute {
	return schema.StringAttribute{
		MarkdownDescription: "The certificate, in PEM, of the CA that the kubelets' serving certificates are of. With it, " +
			"other clients of kubelets, such as metrics collectors, can verify them too.",
		Computed: true,
	}
}

func hardenedNodesSchema() schema.Attribute {
	return schema.MapNestedAttribute{
		MarkdownDescription: "How each node was found, by node name.",
		Computed:            true,
		NestedObject: schema.NestedAttributeObject{
			Attributes: map[string]schema.Attribute{
				"role": schema.StringAttribute{
					MarkdownDescription: "`control-plane` or `worker`.",
					Computed:            true,
				},
				"addresses": schema.ListAttribute{
					MarkdownDescription: "The addresses that the container engine gave the node.",
					ElementType:         types.StringType,
					Computed:            true,
				},
				"verifies_kubelets": schema.BoolAttribute{
					MarkdownDescription: "Whether the running apiserver of this node verifies kubelets against " +
						"`kubelet_ca`, and will after its next start. Null on workers.",
					Computed: true,
				},
				"kubelet_client_certificate": clientSchema(),
				"kubelet_serving_approver":   approverSchema(),
				"konnectivity_server":        konnectivityServerSchema(),
				"ssh_tunnel":                 sshNodeSchema(),
				"kubelet_serving_certificate": schema.SingleNestedAttribute{
					MarkdownDescription: "The certificate that the node's kubelet serves, as a TLS client saw it.",
					Computed:            true,
					Attributes: map[string]schema.Attribute{
						"verified": schema.BoolAttribute{
							MarkdownDescription: "Whether it has a chain to `kubelet_ca`, names the dialled address and is " +
								"valid now.",
							Computed: true,
						},
						"problem": schema.StringAttribute{
							MarkdownDescription: "Why it was refused. Null if it was verified.",
							Computed:            true,
						},
						"issuer": schema.StringAttribute{
							MarkdownDescription: "Distinguished name of its issuer.",
							Computed:            true,
						},
						"sha256": schema.StringAttribute{
							MarkdownDescription: "SHA-256 fingerprint, in hexadecimal.",
							Computed:            true,
						},
						"not_after": schema.StringAttribute{
							MarkdownDescription: "When it expires, in RFC 3339.",
							Computed:            true,
						},
						"renew_after": schema.StringAttribute{
							MarkdownDescription: "When two thirds of its life are over, in RFC 3339. From then on a plan renews " +
								"it, unless it is one that you provide. Null where the kubelet renews it by itself.",
							Computed: true,
						},
					},
				},
			},
		},
	}
}

// validityValidator refuses lifetimes that settings.ParseValidity does.
type validityValidator struct{}

func (validityValidator) Description(context.Context) string {
	return "a duration such as " + settings.FormatValidity(settings.Defaults().ServingValidity) + ", between " +
		settings.FormatValidity(settings.MinServingValidity) + " and " +
		settings.FormatValidity(settings.MaxServingValidity)
}

func (v validityValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (validityValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if _, err := settings.ParseValidity(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid certificate lifetime", "Give another lifetime: "+err.Error()+".")
	}
}
