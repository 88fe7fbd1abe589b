package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// observe takes over what can be read of a cluster. What can't be read at the moment stays as it was, with a warning:
// a refresh that failed would keep a broken cluster from being destroyed.
func (m *kindClusterModel) observe(ctx context.Context, found *cluster.Cluster) diag.Diagnostics {
	var diags diag.Diagnostics
	diags.Append(m.observeNodes(ctx, found)...)
	var stopped []string
	for _, node := range found.Nodes() {
		if container := node.Container(); !container.Running() {
			stopped = append(stopped, fmt.Sprintf("%s (%s)", node.Name(), container.State))
		}
	}
	if len(stopped) > 0 {
		diags.AddWarning("Kind cluster is not running", fmt.Sprintf(
			"Nodes of the kind cluster %q are not running: %s. The state keeps what was last known of them. Start them with "+
				"your container engine (docker start, docker unpause).", found.Name(), strings.Join(stopped, ", ")))
		return diags
	}
	m.Members = memberList(found.Nodes())
	diags.Append(m.observeAccess(ctx, found)...)
	return diags
}

func (m *kindClusterModel) observeAccess(ctx context.Context, found *cluster.Cluster) diag.Diagnostics {
	var diags diag.Diagnostics
	access, err := found.Access(ctx)
	if err != nil {
		diags.AddWarning("Kind cluster's credentials could not be read", fmt.Sprintf(
			"The state keeps what was last known of the kind cluster %q.\n\n%s", found.Name(), err))
		return diags
	}
	m.Kubeconfig = types.StringValue(string(access.Kubeconfig))
	m.Endpoint = types.StringValue(access.Endpoint)
	m.ClusterCACertificate = types.StringValue(string(access.ClusterCACertificate))
	m.ClientCertificate = types.StringValue(string(access.ClientCertificate))
	m.ClientKey = types.StringValue(string(access.ClientKey))
	if m.KubeconfigPath.IsNull() {
		return diags
	}
	current, err := access.In(m.KubeconfigPath.ValueString(), found.Name())
	if err != nil {
		diags.AddAttributeWarning(path.Root("kubeconfig_path"), "Kubeconfig could not be read", err.Error())
	} else if !current {
		// Planned again, and then written again.
		m.KubeconfigPath = types.StringNull()
	}
	return diags
}

// observeNodes makes the declared nodes those that there are. Nodes that are as declared stay as they are written.
func (m *kindClusterModel) observeNodes(ctx context.Context, found *cluster.Cluster) diag.Diagnostics {
	declared, diags := nodeModels(ctx, m.Nodes)
	var nodes []nodeModel
	var images []string
	present := found.Nodes()
	for i, name := range nodeNames(found.Name(), declared) {
		at := slices.IndexFunc(present, func(node *cluster.Node) bool { return node.Name() == name })
		if at < 0 {
			continue // it is gone
		}
		images = append(images, present[at].Container().Image)
		present = slices.Delete(slices.Clone(present), at, at+1)
		nodes = append(nodes, declared[i])
	}
	for _, node := range present {
		nodes = append(nodes, newNodeModel(node.Role()))
		images = append(images, node.Container().Image)
	}
	m.NodeImage = sharedImage(m.NodeImage, nodes, images)
	for i, actual := range images {
		expected := nodes[i].Image
		if expected.IsNull() {
			expected = m.NodeImage
		}
		if actual != "" && !cluster.SameImage(actual, expected.ValueString()) {
			nodes[i].Image = types.StringValue(actual)
		}
	}
	m.Nodes = nodeList(nodes)
	return diags
}

func nodeNames(name string, declared []nodeModel) []string {
	roles := make([]cluster.Role, len(declared))
	for i, node := range declared {
		roles[i] = cluster.Role(node.Role.ValueString())
	}
	return cluster.NodeNames(name, roles)
}

// sharedImage is the image of nodes that name none: as it is written, if one of them has it, or else the first one's.
func sharedImage(written types.String, nodes []nodeModel, images []string) types.String {
	first := types.StringNull()
	for i, actual := range images {
		if actual == "" || !nodes[i].Image.IsNull() {
			continue
		}
		if !written.IsNull() && cluster.SameImage(actual, written.ValueString()) {
			return written
		}
		if first.IsNull() {
			first = types.StringValue(actual)
		}
	}
	if first.IsNull() {
		return written
	}
	return first
}

func memberList(nodes []*cluster.Node) types.List {
	members := make([]attr.Value, len(nodes))
	for i, node := range nodes {
		addresses := []attr.Value{}
		for _, address := range node.Addresses() {
			addresses = append(addresses, types.StringValue(address.String()))
		}
		members[i] = types.ObjectValueMust(memberType.AttrTypes, map[string]attr.Value{
			"name":      types.StringValue(node.Name()),
			"role":      types.StringValue(string(node.Role())),
			"addresses": types.ListValueMust(types.StringType, addresses),
		})
	}
	return types.ListValueMust(memberType, members)
}

// settle makes null what a creation that failed did not get to know.
func (m *kindClusterModel) settle() {
	for _, value := range []*types.String{
		&m.NodeImage, &m.Kubeconfig, &m.Endpoint, &m.ClusterCACertificate, &m.ClientCertificate, &m.ClientKey,
	} {
		if value.IsUnknown() {
			*value = types.StringNull()
		}
	}
	if m.Members.IsUnknown() {
		m.Members = types.ListNull(memberType)
	}
}

// engineDiagnostic explains an error from the engine.
func engineDiagnostic(attempt, name string, err error) diag.Diagnostic {
	if errors.Is(err, cluster.ErrEngineUnavailable) {
		return diag.NewErrorDiagnostic("Container engine does not answer", fmt.Sprintf(
			"Tried to %s the kind cluster %q, but can't tell whether it is there. Start the container engine, or check "+
				"DOCKER_HOST and KIND_EXPERIMENTAL_PROVIDER; Terraform's state is unchanged.\n\n%s", attempt, name, err))
	}
	return diag.NewErrorDiagnostic(fmt.Sprintf("Kind cluster could not be %s", pastOf[attempt]), fmt.Sprintf(
		"Tried to %s the kind cluster %q.\n\n%s", attempt, name, err))
}

var pastOf = map[string]string{"create": "created", "read": "read", "update": "updated", "delete": "deleted"}
