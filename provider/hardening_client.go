package provider

import (
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// clientModel is who an apiserver is at kubelets.
type clientModel struct {
	Subject      types.String
	Issuer       types.String
	SHA256       types.String
	NotAfter     types.String
	ClusterRoles types.List
}

var clientAttributes = map[string]attr.Type{
	"subject":       types.StringType,
	"issuer":        types.StringType,
	"sha256":        types.StringType,
	"not_after":     types.StringType,
	"cluster_roles": types.ListType{ElemType: types.StringType},
}

func clientSchema() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The certificate that the node's apiserver shows to kubelets on its next connections. Null on workers.",
		Computed:            true,
		Attributes: map[string]schema.Attribute{
			"subject": schema.StringAttribute{
				MarkdownDescription: "Distinguished name of whom it makes the apiserver: `CN` is the user, each `O` a group.",
				Computed:            true,
			},
			"issuer":    schema.StringAttribute{MarkdownDescription: "Distinguished name of its issuer.", Computed: true},
			"sha256":    schema.StringAttribute{MarkdownDescription: "SHA-256 fingerprint, in hexadecimal.", Computed: true},
			"not_after": schema.StringAttribute{MarkdownDescription: "When it expires, in RFC 3339.", Computed: true},
			"cluster_roles": schema.ListAttribute{
				MarkdownDescription: "The ClusterRoles that are bound to the user by its name, in order; what its groups have is " +
					"not among them. Null if the API could not be asked.",
				ElementType: types.StringType,
				Computed:    true,
			},
		},
	}
}

func newClientModel(observed apply.Observation, server *apply.APIServerObservation) clientModel {
	model := clientModel{ClusterRoles: managedList(observed.KubeletClientRoles(server))}
	if certificate := server.Client.Certificate; certificate != nil {
		model.Subject = types.StringValue(certificate.Subject.String())
		model.Issuer = types.StringValue(certificate.Issuer.String())
		model.SHA256 = types.StringValue(pki.Fingerprint(certificate))
		model.NotAfter = types.StringValue(certificate.NotAfter.Format(time.RFC3339))
	}
	return model
}

func (m clientModel) object() types.Object {
	return types.ObjectValueMust(clientAttributes, map[string]attr.Value{
		"subject": m.Subject, "issuer": m.Issuer, "sha256": m.SHA256, "not_after": m.NotAfter, "cluster_roles": m.ClusterRoles,
	})
}

// clientAfter leaves open what steps change: the certificate, or what is bound to whom it names.
func clientAfter(found types.Object, observed apply.Observation, steps []apply.Step) types.Object {
	changes := slices.ContainsFunc(steps, func(step apply.Step) bool {
		switch step.Kind {
		case apply.BindKubeletClient, apply.IssueKubeletClient, apply.RestoreKubeletClient, apply.UnbindKubeletClient:
			return true
		}
		return observed.Policy == nil // which it will have become by then
	})
	if changes && !found.IsNull() {
		return types.ObjectUnknown(clientAttributes)
	}
	return found
}

var clientRolePath = path.Root("apiserver").AtName("kubelet_client_cluster_role")

const roleAdvice = "kubelet_client_cluster_role must name a ClusterRole that is there before the apply and allows get and " +
	"create on nodes/proxy. Create or correct it; where the same configuration makes it, name it by a reference to its resource."

func missingRole(err *apply.MissingRoleError) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(clientRolePath, "The ClusterRole for the apiservers can't be used",
		roleAdvice+" Nothing was changed.\n\nError: "+err.Error())
}

// warnRole is no error: the role may be made by this very apply.
func warnRole(diags *diag.Diagnostics, err error) {
	if missing, ok := errors.AsType[*apply.MissingRoleError](err); ok {
		diags.AddAttributeWarning(clientRolePath, "The ClusterRole for the apiservers can't be used yet",
			roleAdvice+" Now, "+missing.Error()+".")
	}
}

// lackingCA is an error in a plan already: the cluster's own CAs are no part of any configuration.
func lackingCA(err *apply.ClientCAError) diag.Diagnostic {
	name, at := settings.NameKubeletClientCA, path.Root(kubeletGroup)
	if err.Node != "" {
		name, at = nodeAttribute(err.Node, name), nodePath(err.Node)
	}
	return diag.NewAttributeErrorDiagnostic(at.AtName("client_ca_bundle"), "Kubelets would refuse clients that the cluster needs",
		"Add the missing CAs to "+name+". That of a cluster as kubeadm makes it is in /etc/kubernetes/pki/ca.crt on its "+
			"control planes, and cluster_ca_certificate of kubecomm_kind_cluster. Nothing was changed.\n\nError: "+err.Error())
}
