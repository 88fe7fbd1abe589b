package provider

import (
	"maps"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// ownOf is a node's object in kubelet.nodes, in which the named attributes are set.
func ownOf(set map[string]attr.Value) attr.Value {
	all := map[string]attr.Value{}
	for _, setting := range settings.PerNode() {
		all[setting.Attribute()] = managedAttribute(setting, nil)
	}
	maps.Copy(all, set)
	return types.ObjectValueMust(nodeKubeletAttributes, all)
}

func ownFloor(version string) attr.Value {
	return ownOf(map[string]attr.Value{"tls_min_version": text(version)})
}

func owning(nodes map[string]attr.Value) types.Map { return types.MapValueMust(nodeKubeletType, nodes) }

// withNodes is a plan in which a floor is declared for all, unless it is "", and others for single nodes.
func withNodes(floor string, nodes types.Map) *hardeningModel {
	set := map[string]attr.Value{"kubelet.nodes": nodes}
	if floor != "" {
		set["kubelet.tls_min_version"] = text(floor)
	}
	return declaring(set)
}

func TestWhatIsDeclaredForANodeBecomesFieldsOfItsKubelet(t *testing.T) {
	model := withNodes(oldFloor, owning(map[string]attr.Value{
		"dev-worker": ownFloor(newFloor), "dev.worker2": ownOf(nil), "dev-worker3": types.ObjectNull(nodeKubeletAttributes),
	}))
	want, known, diags := model.declared(t.Context())
	require.Empty(t, diags)
	require.True(t, known)
	require.Equal(t, map[string]any{"tlsMinVersion": oldFloor}, want.KubeletFields)
	require.Equal(t, map[string]map[string]any{"dev-worker": {"tlsMinVersion": newFloor}}, want.NodeKubeletFields)
	require.Equal(t, map[string]attr.Value{
		"kubelet.tls_min_version": text(oldFloor), "kubelet.nodes.dev-worker.tls_min_version": text(newFloor),
	}, model.effectiveAttribute().Elements())
}

func TestADeclarationForNodesIsOnlyKnownIfAllOfItIs(t *testing.T) {
	for name, nodes := range map[string]types.Map{
		"the map":   types.MapUnknown(nodeKubeletType),
		"a node":    owning(map[string]attr.Value{"dev-worker": types.ObjectUnknown(nodeKubeletAttributes)}),
		"a setting": owning(map[string]attr.Value{"dev-worker": ownOf(map[string]attr.Value{"anonymous": types.BoolUnknown()})}),
		"the floor that cipher suites go with": owning(map[string]attr.Value{"dev-worker": ownOf(map[string]attr.Value{
			"tls_min_version": types.StringUnknown(), "tls_cipher_suites": list(text(suite)),
		})}),
	} {
		model := withNodes(newFloor, nodes)
		_, known, diags := model.declared(t.Context())
		require.Empty(t, diags, name)
		require.False(t, known, name)
		require.True(t, model.effectiveAttribute().IsUnknown(), name)
	}
}

func TestWhatCannotWorkOnANodeIsRefusedOnItsAttribute(t *testing.T) {
	_, known, diags := withNodes(newFloor, owning(map[string]attr.Value{
		"dev.worker": ownOf(map[string]attr.Value{"tls_cipher_suites": list(text(suite))}),
	})).declared(t.Context())
	require.False(t, known)
	require.Len(t, diags, 1)
	require.Equal(t, `Invalid value for kubelet.nodes["dev.worker"].tls_cipher_suites`, diags[0].Summary())
	require.Contains(t, diags[0].Detail(), "the list would be ignored")
	require.Equal(t, `kubelet.nodes["dev.worker"].tls_cipher_suites`, pathOf(t, diags[0]))
}

func TestANodeThatTheClusterDoesNotHaveIsRefusedWithTheNamesOfThoseThatExist(t *testing.T) {
	nodes := []string{"dev-control-plane", "dev-worker"}
	overrides := settings.Overrides{"dev-worker": {}, "dev-worker2": {}}
	diags := strangers("dev", nodes, overrides)
	require.Len(t, diags, 1)
	require.Equal(t, "Cluster dev has no node dev-worker2", diags[0].Summary())
	require.Contains(t, diags[0].Detail(), "the cluster's nodes are dev-control-plane, dev-worker.")
	require.Equal(t, `kubelet.nodes["dev-worker2"]`, pathOf(t, diags[0]))
	delete(overrides, "dev-worker2")
	require.Empty(t, strangers("dev", nodes, overrides))
}

func pathOf(t *testing.T, found diag.Diagnostic) string {
	t.Helper()
	at, ok := found.(diag.DiagnosticWithPath)
	require.True(t, ok)
	return at.Path().String()
}

// kubeletsWith is a cluster of a control plane and a worker whose kubelets run with a floor each, or without for "".
func kubeletsWith(controlPlane, worker string) apply.Observation {
	observed := observedWith("", controlPlane)
	second := observedWith("", worker).Nodes[0]
	second.Name, second.APIServer = "dev-worker", nil
	observed.Nodes = append(observed.Nodes, second)
	return observed
}

func TestARefreshShowsDriftOnTheNodesAttributeWhereItHasOne(t *testing.T) {
	worker := map[string]attr.Value{"dev-worker": ownFloor(newFloor)}
	without := map[string]attr.Value{"dev-worker": ownOf(nil)}
	tests := map[string]struct {
		state                *hardeningModel
		controlPlane, worker string // what runs
		forAll               types.String
		nodes                types.Map
	}{
		"each has what is declared for it": {
			state: withNodes(oldFloor, owning(worker)), controlPlane: oldFloor, worker: newFloor,
			forAll: text(oldFloor), nodes: owning(worker),
		},
		"the node has another value than its own": {
			state: withNodes("", owning(worker)), worker: oldFloor,
			nodes: owning(map[string]attr.Value{"dev-worker": ownFloor(oldFloor)}),
		},
		"the node has what is for all, and should have its own": {
			state: withNodes(oldFloor, owning(worker)), controlPlane: oldFloor, worker: oldFloor,
			forAll: text(oldFloor), nodes: owning(map[string]attr.Value{"dev-worker": ownFloor(oldFloor)}),
		},
		"the node has lost its own": {
			state: withNodes(oldFloor, owning(worker)), controlPlane: oldFloor,
			forAll: text(oldFloor), nodes: owning(without),
		},
		"another node has changed": {
			state: withNodes(oldFloor, owning(worker)), controlPlane: newFloor, worker: newFloor,
			forAll: text(newFloor), nodes: owning(worker),
		},
		"the node has changed where it has nothing of its own": {
			state: withNodes(oldFloor, owning(without)), controlPlane: oldFloor, worker: newFloor,
			forAll: text(newFloor), nodes: owning(without),
		},
		"a node that is gone": {
			state:        withNodes(oldFloor, owning(map[string]attr.Value{"dev-worker2": ownFloor(newFloor)})),
			controlPlane: oldFloor, worker: oldFloor, forAll: text(oldFloor),
			nodes: owning(map[string]attr.Value{"dev-worker2": ownFloor(newFloor)}),
		},
		"no nodes, and a node that is null": {
			state:  withNodes("", owning(map[string]attr.Value{"dev-worker": types.ObjectNull(nodeKubeletAttributes)})),
			worker: newFloor, forAll: text(newFloor),
			nodes: owning(map[string]attr.Value{"dev-worker": types.ObjectNull(nodeKubeletAttributes)}),
		},
		"an empty map": {state: withNodes("", owning(nil)), nodes: owning(map[string]attr.Value{})},
		"imported": {
			state: &hardeningModel{Cluster: text("dev")}, worker: newFloor, forAll: text(newFloor), nodes: types.MapNull(nodeKubeletType),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			model := *test.state
			if !model.Kubelet.IsNull() {
				model.Effective = model.effectiveAttribute()
			}
			observed := kubeletsWith(test.controlPlane, test.worker)
			require.Empty(t, model.observe(t.Context(), observed))
			require.Equal(t, test.forAll, attribute[types.String](model.Kubelet, "tls_min_version"))
			require.Equal(t, test.nodes, attribute[types.Map](model.Kubelet, "nodes"))
			again := model
			require.Empty(t, again.observe(t.Context(), observed))
			require.Equal(t, test.nodes, attribute[types.Map](again.Kubelet, "nodes"), "another look shows the same")
		})
	}
}
