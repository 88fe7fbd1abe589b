package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// kubelet.nodes holds what single nodes have in place of kubelet's managed attributes. What is null there is as for all.

const perNodeAttribute = "nodes"

var (
	nodeKubeletAttributes = managedTypes(settings.PerNode())
	nodeKubeletType       = types.ObjectType{AttrTypes: nodeKubeletAttributes}
)

func nodeKubeletsSchema() schema.Attribute {
	attributes := map[string]schema.Attribute{}
	for _, setting := range settings.PerNode() {
		attributes[setting.Attribute()] = managedSchema(setting, settings.DescribeOnNode(setting))
	}
	return schema.MapNestedAttribute{
		MarkdownDescription: "What single nodes have in place of what is set for every kubelet, by node name. What is left " +
			"out for a node is as for all.",
		Optional:     true,
		NestedObject: schema.NestedAttributeObject{Attributes: attributes},
	}
}

func (m *hardeningModel) nodeKubelets() types.Map {
	return attribute[types.Map](m.Kubelet, perNodeAttribute)
}

// overrides reads what is declared for single nodes, as far as it is known, and whether all of it is.
func (m *hardeningModel) overrides() (overrides settings.Overrides, known bool) {
	overrides, known = settings.Overrides{}, !m.Kubelet.IsUnknown() && !m.nodeKubelets().IsUnknown()
	for node, element := range m.nodeKubelets().Elements() {
		object, _ := element.(types.Object)
		known = known && !object.IsUnknown()
		overrides[node] = map[string]settings.Value{}
		for _, setting := range settings.PerNode() {
			value, valueKnown := managedValue(setting, object.Attributes()[setting.Attribute()])
			known = known && valueKnown
			if value != nil || !valueKnown {
				overrides[node][setting.Name] = value
			}
		}
	}
	return overrides, known
}

// nodeAttribute is how users write a node, or a setting of it by the setting's name.
func nodeAttribute(node, setting string) string {
	return fmt.Sprintf("%s.%s[%q]%s", kubeletGroup, perNodeAttribute, node, strings.TrimPrefix(setting, kubeletGroup))
}

// effectiveKey is how effective has a setting of a node. No attribute's name has a dot, so that a node's may.
func effectiveKey(node string, setting settings.Setting) string {
	return strings.Join([]string{kubeletGroup, perNodeAttribute, node, setting.Attribute()}, ".")
}

func nodePath(node string) path.Path {
	return path.Root(kubeletGroup).AtName(perNodeAttribute).AtMapKey(node)
}

// hasOwn reports whether a node was given a value of its own for a setting. Where the node lost it since, effective still
// knows that it was.
func (m *hardeningModel) hasOwn(node string, setting settings.Setting) bool {
	if setting.Group() != kubeletGroup {
		return false // other groups have attributes of the same names
	}
	object, _ := m.nodeKubelets().Elements()[node].(types.Object)
	if value := object.Attributes()[setting.Attribute()]; value != nil && !value.IsNull() {
		return true
	}
	_, had := m.Effective.Elements()[effectiveKey(node, setting)]
	return had && !object.IsNull()
}

// asForAll leaves out of an observation the nodes that have a value of their own for a setting.
func (m *hardeningModel) asForAll(setting settings.Setting, observed apply.Observation) apply.Observation {
	return observed.On(func(node string) bool { return !m.hasOwn(node, setting) })
}

// observedNodeKubelets shows how the values of single nodes were observed.
func (m *hardeningModel) observedNodeKubelets(observed apply.Observation) types.Map {
	nodes := m.nodeKubelets()
	if nodes.IsNull() || nodes.IsUnknown() {
		return types.MapNull(nodeKubeletType)
	}
	overrides, _ := m.overrides()
	forAll, _ := m.effectiveValues()
	elements := map[string]attr.Value{}
	for node, element := range nodes.Elements() {
		elements[node] = element
		if element.IsNull() {
			continue
		}
		alone := observed.On(func(name string) bool { return name == node })
		effective := overrides.On(node, forAll)
		attributes := map[string]attr.Value{}
		for _, setting := range settings.PerNode() {
			var value settings.Value
			if m.hasOwn(node, setting) {
				value = alone.Value(setting, overrides[node][setting.Name], effective[setting.Name])
			}
			attributes[setting.Attribute()] = managedAttribute(setting, value)
		}
		elements[node] = types.ObjectValueMust(nodeKubeletAttributes, attributes)
	}
	return types.MapValueMust(nodeKubeletType, elements)
}

// nodeProblemsOf shows problems on the nodes' attributes.
func nodeProblemsOf(problems []settings.NodeProblem, advice string) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, problem := range problems {
		at := nodePath(problem.Node)
		for step := range strings.SplitSeq(strings.TrimPrefix(problem.Name, kubeletGroup+"."), ".") {
			at = at.AtName(step)
		}
		diags.AddAttributeError(at, "Invalid value for "+nodeAttribute(problem.Node, problem.Name), advice+problem.Err.Error()+".")
	}
	return diags
}

// checkNodes refuses what is declared for nodes that the cluster doesn't have.
func (r *hardening) checkNodes(ctx context.Context, name string, overrides settings.Overrides) diag.Diagnostics {
	if len(overrides) == 0 {
		return nil
	}
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return nil // see checkVersion, which is silent for the same reason
	}
	var names []string
	for _, node := range opened.Nodes() {
		names = append(names, node.Name())
	}
	return strangers(name, names, overrides)
}

func strangers(name string, nodes []string, overrides settings.Overrides) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, node := range overrides.Nodes() {
		if slices.Contains(nodes, node) {
			continue
		}
		diags.AddAttributeError(nodePath(node), fmt.Sprintf("Cluster %s has no node %s", name, node), fmt.Sprintf(
			"In %s, correct the name, or take it out: the cluster's nodes are %s. If this apply makes the cluster anew with that "+
				"node, make the cluster first. Nothing was changed.", nodeAttribute(node, ""), strings.Join(nodes, ", ")))
	}
	return diags
}
