package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/findings"
)

var (
	findingAttributes = map[string]attr.Type{"path": types.StringType, "subject": types.StringType, "problem": types.StringType}
	findingType       = types.ObjectType{AttrTypes: findingAttributes}
)

func findingsSchema() schema.Attribute {
	text := func(description string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Computed: true}
	}
	return schema.ListNestedAttribute{
		MarkdownDescription: "What was found on other paths that makes them less safe than kubeadm makes them, and that kubecomm " +
			"doesn't change; empty if nothing was. Looked at are: who may get `nodes/proxy`, and so run commands in every pod; " +
			"whether the kubeconfig files of control planes verify the apiserver by the cluster's CA, and who their owners are; and " +
			"whether etcd, its peers and the apiserver verify each other. Of what can't be looked at, such as RBAC while the API " +
			"doesn't answer, nothing is said. A `check` block makes each finding a warning of every plan.",
		Computed: true,
		NestedObject: schema.NestedAttributeObject{
			Attributes: map[string]schema.Attribute{
				"path":    text("Who talks to whom, such as `apiserver → etcd`."),
				"subject": text("What was looked at: a user, a group or a service account, or a process or file on a node."),
				"problem": text("What is wrong with it."),
			},
		},
	}
}

func findingsAttribute(found []findings.Finding) types.List {
	elements := make([]attr.Value, len(found))
	for i, finding := range found {
		elements[i] = types.ObjectValueMust(findingAttributes, map[string]attr.Value{
			"path":    types.StringValue(finding.Path),
			"subject": types.StringValue(finding.Subject),
			"problem": types.StringValue(finding.Problem),
		})
	}
	return types.ListValueMust(findingType, elements)
}
