package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

// bySSH is a model that declares a tunnel of that mode with how SSH is to run.
func bySSH(mode types.String, port types.Int64, rotation types.String) *hardeningModel {
	model := tunnelling(mode, nil)
	values := model.Tunnel.Attributes()
	values[sshAttribute] = types.ObjectValueMust(sshAttributes, map[string]attr.Value{"port": port, "rotate_keys_when_changed": rotation})
	model.Tunnel = types.ObjectValueMust(tunnelAttributes, values)
	return model
}

func TestHowSSHTunnelsRunIsDeclared(t *testing.T) {
	declare := func(mode types.String, port types.Int64) (settings.Settings, bool, bool) {
		var want settings.Settings
		known, diags := bySSH(mode, port, text("2")).declareTunnel(t.Context(), &want)
		return want, known, diags.HasError()
	}
	want, known, refused := declare(text("ssh"), types.Int64Value(2222))
	require.True(t, known)
	require.False(t, refused)
	require.Equal(t, settings.SSHOptions{Port: 2222, KeyGeneration: "2"}, want.Tunnel.SSH)
	_, known, refused = declare(text("ssh"), types.Int64Unknown())
	require.False(t, known || refused)
	_, known, refused = declare(types.StringUnknown(), types.Int64Value(22))
	require.False(t, known || refused)
	_, _, refused = declare(text("konnectivity"), types.Int64Value(22))
	require.True(t, refused, "it would have no effect")
}

// tunnelledBySSH is a cluster of one control plane and one worker.
func tunnelledBySSH(t *testing.T) apply.Observation {
	t.Helper()
	_, key, err := ssh.NewKey("1")
	require.NoError(t, err)
	node := func(name string, role cluster.Role) apply.NodeObservation {
		found := apply.NodeObservation{Name: name, Role: role}
		found.SSH.Port = 2222
		found.SSH.Server.Key = apply.SSHKey{PublicKey: key, Mode: "600"}
		found.SSH.Server.Status = &server.Status{HostKey: key.Fingerprint()}
		return found
	}
	first := node("dev-control-plane", cluster.ControlPlane)
	first.APIServer = &apply.APIServerObservation{}
	first.SSH.Proxy.Key = first.SSH.Server.Key
	first.SSH.Proxy.Status = &proxy.Status{Key: key.Fingerprint(), Nodes: []proxy.NodeStatus{
		{Name: "dev-control-plane", Connected: true}, {Name: "dev-worker"},
	}}
	return apply.Observation{Nodes: []apply.NodeObservation{first, node("dev-worker", cluster.Worker)}}
}

func TestAnSSHTunnelShowsAsItWasFoundAndAsItWillBe(t *testing.T) {
	observed := tunnelledBySSH(t)
	found := newSSHNode(observed, observed.Nodes[0])
	key := text(observed.Nodes[0].SSH.Server.Key.Fingerprint())
	require.Equal(t, key, found.Attributes()["host_key"])
	require.Equal(t, key, found.Attributes()["client_key"])
	require.Equal(t, list(text("dev-control-plane")), found.Attributes()["connected_nodes"])
	require.Equal(t, text("it isn't installed"), found.Attributes()["problem"])
	require.True(t, found.Attributes()["sha256"].IsNull())
	onWorker := newSSHNode(observed, observed.Nodes[1]).Attributes()
	require.Equal(t, key, onWorker["host_key"])
	require.True(t, onWorker["client_key"].IsNull())
	require.True(t, onWorker["connected_nodes"].IsNull())
	require.True(t, newSSHNode(observed, apply.NodeObservation{}).IsNull())

	step := func(kind apply.Kind, node string) []apply.Step { return []apply.Step{{Kind: kind, Node: node}} }
	require.True(t, sshNodeAfter(found, "dev-worker", step(apply.RemoveSSHServer, "dev-worker")).IsNull())
	require.True(t, sshNodeAfter(found, "dev-worker", step(apply.InstallSSHProxy, "dev-control-plane")).IsUnknown())
	require.Equal(t, found, sshNodeAfter(found, "dev-worker", step(apply.RemoveSSHServer, "dev-control-plane")))
}

func TestAPortAndKeysThatAreOthersThanDeclaredShowOnTheirAttributes(t *testing.T) {
	observed := tunnelledBySSH(t)
	found := bySSH(text("ssh"), types.Int64Value(22), text("2")).observedSSH(observed).Attributes()
	require.Equal(t, types.Int64Value(2222), found["port"])
	require.Equal(t, text("1"), found["rotate_keys_when_changed"])
	same := bySSH(text("ssh"), types.Int64Value(2222), types.StringNull())
	require.Equal(t, attribute[types.Object](same.Tunnel, sshAttribute), same.observedSSH(observed), "what isn't declared stays")
	require.True(t, tunnelling(text("ssh"), nil).observedSSH(observed).IsNull())
}

func TestATakenPortIsToldOfOnTheAttributeThatSetsIt(t *testing.T) {
	diags := refusedTunnel("dev", &apply.PortTakenError{Node: "dev-worker", Port: 22, Program: "sshd"})
	require.Len(t, diags, 1)
	require.Contains(t, diags[0].Detail(), "sshd already listens on node dev-worker")
	require.Contains(t, diags[0].Detail(), "tunnel.ssh.port")
	require.Empty(t, refusedTunnel("dev", nil))
}
