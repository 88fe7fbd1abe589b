package provider

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// tunnelling is a plan with a tunnel of a mode, of which some attributes are set.
func tunnelling(mode attr.Value, set map[string]attr.Value) *hardeningModel {
	model := declaring(nil)
	object := types.ObjectNull(konnectivityAttributes)
	if set != nil {
		values := map[string]attr.Value{
			"server_image": types.StringNull(), "agent_image": types.StringNull(), "keepalive": types.StringNull(),
			"image_archives": types.ListNull(types.StringType), "agent_identifiers": types.ListNull(types.StringType),
			"server_count_strategy": types.StringNull(),
		}
		maps.Copy(values, set)
		object = types.ObjectValueMust(konnectivityAttributes, values)
	}
	model.Tunnel = types.ObjectValueMust(tunnelAttributes, map[string]attr.Value{
		"mode": mode, konnectivityAttribute: object, sshAttribute: types.ObjectNull(sshAttributes),
	})
	return model
}

func TestADeclaredTunnelIsReadAndRefusedWhereItCannotBe(t *testing.T) {
	tests := map[string]struct {
		mode       attr.Value
		set        map[string]attr.Value
		at, refuse string
		unknown    bool
	}{
		"a tunnel with defaults": {mode: text("konnectivity")},
		"none":                   {mode: text("none")},
		"all of it": {mode: text("konnectivity"), set: map[string]attr.Value{
			"server_image": text("registry.example/server:v1"), "agent_image": text("registry.example/agent:v1"), "keepalive": text("2m"),
			"image_archives": list(text("a.tar")), "agent_identifiers": list(text("host=$(NODE_NAME)")),
			"server_count_strategy": text("leases"),
		}},
		"an image that isn't known yet": {mode: text("konnectivity"), unknown: true, set: map[string]attr.Value{
			"server_image": types.StringUnknown(),
		}},
		"an archive that isn't known yet": {mode: text("konnectivity"), unknown: true, set: map[string]attr.Value{
			"image_archives": list(types.StringUnknown()),
		}},
		"a mode that isn't known yet": {mode: types.StringUnknown(), unknown: true, set: map[string]attr.Value{}},
		"Konnectivity without a tunnel": {
			mode: text("none"), set: map[string]attr.Value{"keepalive": text("2m")},
			at: "tunnel.konnectivity", refuse: "would have no effect",
		},
		"a keepalive that is no duration": {
			mode: text("konnectivity"), set: map[string]attr.Value{"keepalive": text("soon")},
			at: settings.NameKeepalive, refuse: `"soon" is not a duration`,
		},
		"a strategy that there isn't": {
			mode: text("konnectivity"), set: map[string]attr.Value{"server_count_strategy": text("guess")},
			at: settings.NameServerCount, refuse: `"guess" is none of per_server, leases`,
		},
		"a keepalive that servers cut off": {
			mode: text("konnectivity"), set: map[string]attr.Value{"keepalive": text("10s")},
			at: settings.NameKeepalive, refuse: "10s is out of bounds",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, known, diags := tunnelling(test.mode, test.set).declared(t.Context())
			if test.refuse != "" {
				require.Len(t, diags, 1, diags)
				require.Equal(t, test.at, pathOf(t, diags[0]))
				require.Contains(t, diags[0].Detail(), test.refuse)
				return
			}
			require.Empty(t, diags)
			require.Equal(t, !test.unknown, known)
			if len(test.set) > 1 {
				require.Equal(t, 2*time.Minute, want.Tunnel.Konnectivity.Keepalive)
				require.Equal(t, "registry.example/agent:v1", want.Tunnel.Konnectivity.Images.Agent)
				require.Equal(t, []string{"a.tar"}, want.Tunnel.ImageArchives)
				require.Equal(t, konnectivity.Leases, want.Tunnel.Konnectivity.ServerCount)
				require.Equal(t, []string{"host=$(NODE_NAME)"}, want.Tunnel.Konnectivity.Identifiers)
			}
		})
	}
}

func TestAnArchiveThatCannotBeReadIsRefusedByThePlan(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "images.tar")
	diags := checkArchives(settings.Settings{Tunnel: settings.Tunnel{ImageArchives: []string{missing}}})
	require.Len(t, diags, 1)
	require.Equal(t, settings.NameImageArchives, pathOf(t, diags[0]))
	require.Contains(t, diags[0].Detail(), missing)
	require.Empty(t, checkArchives(settings.Settings{}))
}

func TestWhatRunsOtherwiseThanDeclaredShowsOnItsOwnAttribute(t *testing.T) {
	running := konnectivity.Options{
		Images: konnectivity.Images{Server: "server:v2", Agent: "agent:v2"}, Keepalive: time.Minute, Identifiers: []string{"host=b"},
		ServerCount: konnectivity.Leases,
	}
	manifest, err := konnectivity.ServerManifest(running, "dev-control-plane")
	require.NoError(t, err)
	observed := apply.Observation{
		Nodes: []apply.NodeObservation{{KonnectivityServer: apply.KonnectivityServerObservation{Files: map[string]cluster.File{
			konnectivity.Manifest: {Data: manifest},
		}}}},
		Konnectivity: apply.KonnectivityObservation{Found: konnectivity.Objects(running, nil, 1)},
	}
	declared := func(set map[string]attr.Value) types.Object {
		return attribute[types.Object](tunnelling(text("konnectivity"), set).Tunnel, konnectivityAttribute)
	}
	found := observedKonnectivity(declared(map[string]attr.Value{
		"server_image": text("server:v1"), "agent_image": text("agent:v1"), "keepalive": text("2m"),
		"agent_identifiers": list(text("host=a")), "server_count_strategy": text("per_server"),
		"image_archives": list(text("a.tar")),
	}), observed)
	require.Equal(t, map[string]attr.Value{
		"server_image": text("server:v2"), "agent_image": text("agent:v2"), "keepalive": text("1m0s"),
		"agent_identifiers": list(text("host=b")), "server_count_strategy": text("leases"),
		"image_archives": list(text("a.tar")),
	}, found.Attributes())

	same := declared(map[string]attr.Value{"keepalive": text("60s"), "agent_identifiers": list(text("host=b"))})
	require.Equal(t, same, observedKonnectivity(same, observed), "what is as declared, or isn't declared, stays")
	require.Equal(t, same, observedKonnectivity(same, apply.Observation{}), "and so does what nothing is found of")
}

func TestATunnelsServerTellsItsAgents(t *testing.T) {
	node := apply.NodeObservation{
		Name: "dev-control-plane", Role: cluster.ControlPlane, APIServer: &apply.APIServerObservation{},
		KonnectivityServer: apply.KonnectivityServerObservation{Present: true},
	}
	observed := apply.Observation{
		Nodes: []apply.NodeObservation{node, {Name: "dev-worker", Role: cluster.Worker}},
		Konnectivity: apply.KonnectivityObservation{Known: true, Connected: map[string][]string{
			"to-dev-control-plane": {"dev-worker", "dev-control-plane"},
		}},
	}
	found := newKonnectivityServer(observed, node)
	require.Equal(t, types.Int64Value(2), found.Attributes()["ready_agents"])
	require.Equal(t, list(text("dev-control-plane"), text("dev-worker")), found.Attributes()["agents"])
	require.True(t, found.Attributes()["problem"].IsNull())
	require.True(t, newKonnectivityServer(observed, observed.Nodes[1]).IsNull(), "a worker has none")

	observed.Konnectivity.Connected["to-dev-control-plane"] = []string{"dev-control-plane"}
	found = newKonnectivityServer(observed, node)
	require.Equal(t, text("no agent of dev-worker is connected to the server of node dev-control-plane"), found.Attributes()["problem"])

	step := func(kind apply.Kind) []apply.Step { return []apply.Step{{Kind: kind, Node: node.Name}} }
	require.True(t, konnectivityServerAfter(found, node.Name, step(apply.RemoveKonnectivityServer)).IsNull())
	require.True(t, konnectivityServerAfter(found, node.Name, step(apply.InstallKonnectivityServer)).IsUnknown())
	require.True(t, konnectivityServerAfter(found, node.Name, step(apply.RunKonnectivityAgents)).IsUnknown())
	require.Equal(t, found, konnectivityServerAfter(found, node.Name, nil))
}
