package provider

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const (
	oldFloor = "VersionTLS12"
	newFloor = "VersionTLS13"
	suite    = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
)

// declaring is a plan with the defaults, in which the named attributes are set.
func declaring(set map[string]attr.Value) *hardeningModel {
	with := func(group string, others map[string]attr.Value) map[string]attr.Value {
		all := withManagedNull(group, others)
		for name, value := range set {
			if in, attribute, _ := strings.Cut(name, "."); in == group {
				all[attribute] = value
			}
		}
		return all
	}
	return &hardeningModel{
		Profile:   types.StringValue("kubeadm"),
		APIServer: types.ObjectValueMust(withManaged(apiserverGroup, nil), with(apiserverGroup, nil)),
		Kubelet: types.ObjectValueMust(kubeletAttributes, with(kubeletGroup, map[string]attr.Value{
			"serving_certificates": defaultCertificates(), "max_parallel_restarts": types.Int64Value(3),
			perNodeAttribute: types.MapNull(nodeKubeletType),
		})),
	}
}

func text(value string) types.String { return types.StringValue(value) }

func list(values ...attr.Value) types.List { return types.ListValueMust(types.StringType, values) }

func TestADeclarationBecomesFlagsAndFields(t *testing.T) {
	defaults := settings.Of(nil)
	got, known, diags := declaring(nil).declared(t.Context())
	require.Empty(t, diags)
	require.True(t, known)
	require.Equal(t, defaults, got, "what is left out is not declared")

	got, known, diags = declaring(map[string]attr.Value{
		"apiserver.tls_min_version": text(newFloor), "kubelet.tls_min_version": text(oldFloor),
		"kubelet.tls_cipher_suites": list(text(suite)), "kubelet.max_parallel_restarts": types.Int64Value(7),
	}).declared(t.Context())
	require.Empty(t, diags)
	require.True(t, known)
	defaults.SetFlag(settings.APIServer, "tls-min-version", newFloor)
	defaults.KubeletFields = map[string]any{"tlsMinVersion": oldFloor, "tlsCipherSuites": []string{suite}}
	defaults.KubeletRestarts = 7
	require.Equal(t, defaults, got)
}

func TestWhatIsLeftOutIsAsTheProfileSays(t *testing.T) {
	model := declaring(map[string]attr.Value{"apiserver.profiling": types.BoolValue(true)})
	require.Equal(t, map[string]attr.Value{"apiserver.profiling": text("true")}, model.effectiveAttribute().Elements())
	model.Profile = text("baseline")
	effective := model.effectiveAttribute().Elements()
	require.Equal(t, text("true"), effective["apiserver.profiling"])
	require.Equal(t, text("false"), effective["scheduler.profiling"])
	require.Equal(t, text("Node, RBAC"), effective["apiserver.authorization_modes"])
	want, known, diags := model.declared(t.Context())
	require.Empty(t, diags)
	require.True(t, known)
	require.Equal(t, []string{"true"}, want.Flags[settings.APIServer]["profiling"])
	require.Equal(t, []string{"false"}, want.Flags[settings.Scheduler]["profiling"])
	require.True(t, want.VerifyKubelets)
	model.Profile = types.StringUnknown()
	require.True(t, model.effectiveAttribute().IsUnknown())
}

func TestADeclarationIsOnlyKnownIfAllOfItIs(t *testing.T) {
	for name, value := range map[string]attr.Value{
		"apiserver.tls_min_version": types.StringUnknown(), "kubelet.max_parallel_restarts": types.Int64Unknown(),
		"kubelet.tls_cipher_suites":   types.ListUnknown(types.StringType),
		"apiserver.tls_cipher_suites": list(text(suite), types.StringUnknown()),
	} {
		_, known, diags := declaring(map[string]attr.Value{name: value}).declared(t.Context())
		require.Empty(t, diags, name)
		require.False(t, known, name)
	}
}

// A value that was unknown when the configuration was validated is judged once it is known.
func TestADeclarationThatCannotWorkIsRefusedOnItsAttribute(t *testing.T) {
	_, known, diags := declaring(map[string]attr.Value{
		"kubelet.tls_min_version": text(newFloor), "kubelet.tls_cipher_suites": list(text(suite)),
	}).declared(t.Context())
	require.False(t, known)
	require.Len(t, diags, 1)
	require.Equal(t, "Invalid value for kubelet.tls_cipher_suites", diags[0].Summary())
	require.Contains(t, diags[0].Detail(), "the list would be ignored")
}

// observedWith is a cluster of one node on which apiserver and kubelet run with a floor each, or without for "". Before
// kubecomm, they had none.
func observedWith(server, node string) apply.Observation {
	flags, fields := controlplane.Flags{}, kubelet.Fields{}
	if server != "" {
		flags["tls-min-version"] = []string{server}
	}
	if node != "" {
		fields["tlsMinVersion"] = []byte(`"` + node + `"`)
	}
	return apply.Observation{Nodes: []apply.NodeObservation{{
		Name: "dev-control-plane", Role: cluster.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.2")},
		APIServer: &apply.APIServerObservation{ComponentObservation: apply.ComponentObservation{
			Running: flags, Manifest: flags, Baseline: controlplane.Flags{},
		}},
		Kubelet: apply.KubeletObservation{File: fields, Running: fields, Baseline: kubelet.Fields{}},
	}}}
}

func TestARefreshShowsWhatRunsOnTheAttributeConcerned(t *testing.T) {
	imported := &hardeningModel{Cluster: text("dev")}
	both := map[string]attr.Value{"apiserver.tls_min_version": text(newFloor), "kubelet.tls_min_version": text(newFloor)}
	tests := map[string]struct {
		state                *hardeningModel
		server, node         string // what runs
		showServer, showNode types.String
	}{
		"nothing declared, nothing there": {state: declaring(nil)},
		"declared and there": {
			state: declaring(both), server: newFloor, node: newFloor, showServer: text(newFloor), showNode: text(newFloor),
		},
		"declared, but another kubelet's floor": {
			state: declaring(both), server: newFloor, node: oldFloor, showServer: text(newFloor), showNode: text(oldFloor),
		},
		"declared, but gone from the apiserver": {
			state: declaring(both), node: newFloor, showNode: text(newFloor),
		},
		"not declared, but there since":  {state: declaring(nil), node: newFloor, showNode: text(newFloor)},
		"imported, nothing there":        {state: imported},
		"imported, and there":            {state: imported, server: newFloor, showServer: text(newFloor)},
		"shown as drift, and gone again": {state: declaring(both)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			model := *test.state
			require.Empty(t, model.observe(t.Context(), observedWith(test.server, test.node)))
			require.Equal(t, test.showServer, attribute[types.String](model.APIServer, "tls_min_version"))
			require.Equal(t, test.showNode, attribute[types.String](model.Kubelet, "tls_min_version"))
			require.True(t, attribute[types.List](model.APIServer, "tls_cipher_suites").IsNull())
			require.Equal(t, types.Int64Value(3), attribute[types.Int64](model.Kubelet, "max_parallel_restarts"))
			again := model
			require.Empty(t, again.observe(t.Context(), observedWith(test.server, test.node)))
			require.Equal(t, model, again, "another look shows the same")
		})
	}
}

func TestTheNumberOfRestartsIsKeptAsItIsInState(t *testing.T) {
	model := declaring(map[string]attr.Value{"kubelet.max_parallel_restarts": types.Int64Value(9)})
	require.Empty(t, model.observe(t.Context(), observedWith("", "")))
	require.Equal(t, types.Int64Value(9), attribute[types.Int64](model.Kubelet, "max_parallel_restarts"))
}

func TestNodesOnWhichStepsAreTakenAreLeftOpen(t *testing.T) {
	var model hardeningModel
	require.Empty(t, model.observe(t.Context(), observedWith("", "")))
	require.Equal(t, model.Nodes, unknownNodes(model.Nodes, nil))
	open := unknownNodes(model.Nodes, []apply.Step{{Kind: apply.ConfigureKubelet, Node: "dev-control-plane"}})
	require.True(t, open.Elements()["dev-control-plane"].IsUnknown())
}
