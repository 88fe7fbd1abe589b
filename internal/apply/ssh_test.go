package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

const (
	firstNode  = "dev-control-plane"
	workerNode = "dev-worker"
)

func sshSettings() settings.Settings {
	want := settings.Defaults()
	want.Tunnel.Mode = settings.SSH
	want.Documents = map[string]settings.Document{egressFlag: {
		Name: "egress-selector", Extension: "yaml", Data: ssh.EgressSelection(),
	}}
	return want
}

// withoutSSH is a hardened cluster of one control plane and one worker.
func withoutSSH(t *testing.T) Observation {
	t.Helper()
	o := hardened(t)
	o.Minor, o.Konnectivity = 37, KonnectivityObservation{Known: true}
	o.ProxyAccess = AccountObservation{Known: true, Problem: "there is no ServiceAccount kubecomm-ssh-proxy"}
	o.PodCIDRs = map[string][]netip.Prefix{
		firstNode: {netip.MustParsePrefix("10.244.0.0/24")}, workerNode: {netip.MustParsePrefix("10.244.1.0/24")},
	}
	o.Nodes[0].APIServer.Running[sshServiceRange] = []string{"10.96.0.0/16"}
	o.Nodes[0].APIServer.Manifest[sshServiceRange] = []string{"10.96.0.0/16"}
	return o
}

// do has a step done as its work would do it, on what was observed in place of a cluster.
func (o *Observation) do(t *testing.T, step Step, want settings.Settings) {
	t.Helper()
	i := slices.IndexFunc(o.Nodes, func(node NodeObservation) bool { return node.Name == step.Node })
	node := &o.Nodes[i]
	made := func(end SSHKey, next *SSHKey, problem string) SSHKey {
		if problem == "" {
			return end
		}
		_, public, err := ssh.NewKey(want.Tunnel.SSH.KeyGeneration)
		require.NoError(t, err)
		key := SSHKey{PublicKey: public, Mode: "600"}
		if end.Line == "" {
			return key
		}
		*next = key
		return end
	}
	generation := want.Tunnel.SSH.KeyGeneration
	switch step.Kind {
	case AllowSSHProxy:
		o.ProxyAccess = AccountObservation{Known: true, Present: true}
	case MakeSSHKeys:
		node.SSH.Server.Key = made(node.SSH.Server.Key, &node.SSH.Server.Next, keyProblem(node.SSH.Server, generation))
		if node.APIServer != nil {
			node.SSH.Proxy.Key = made(node.SSH.Proxy.Key, &node.SSH.Proxy.Next, keyProblem(node.SSH.Proxy, generation))
		}
	case InstallSSHServer:
		end := &node.SSH.Server
		if end.Next.Line != "" && o.hostKeyKnown(*node) {
			end.Key, end.Next = end.Next, SSHKey{}
		}
		node.SSH.Port = sshPort(want)
		end.Config = o.serverConfig(*node).Encode()
		end.found = installed(o.serverOf(*node, node.SSH.Port))
		end.Status = &server.Status{Config: ssh.Digest(end.Config), HostKey: end.Key.Fingerprint(), Authorized: map[string][]string{}}
		for name, lines := range o.serverConfig(*node).AuthorizedKeys {
			for _, line := range lines {
				end.Status.Authorized[name] = append(end.Status.Authorized[name], ssh.PublicKey{Line: line}.Fingerprint())
			}
		}
	case InstallSSHProxy:
		end := &node.SSH.Proxy
		if end.Next.Line != "" && o.clientKeyKnown(*node) {
			end.Key, end.Next = end.Next, SSHKey{}
		}
		end.Config = o.proxyConfig(*node, sshPort(want)).Encode()
		end.found = installed(o.proxyOf(*node, sshPort(want)))
		end.Status = &proxy.Status{Config: ssh.Digest(end.Config), Key: end.Key.Fingerprint(), FromAPI: true}
	case ReplaceAPIServer:
		file := documentFile(want.Documents[egressFlag])
		for _, flags := range []controlplane.Flags{node.APIServer.Running, node.APIServer.Manifest} {
			flags[egressFlag] = []string{file}
		}
		node.APIServer.Documents = map[string][]byte{file: ssh.EgressSelection()}
	default:
		t.Fatalf("unexpected: %s", step)
	}
	o.connectSSH(t)
}

// connectSSH has proxies connected to the servers that they can be, and fails where one of both refuses the other.
func (o *Observation) connectSSH(t *testing.T) {
	t.Helper()
	for i := range o.Nodes {
		end := &o.Nodes[i].SSH.Proxy
		if end.Status == nil {
			continue
		}
		config, err := ssh.ParseProxyConfig(end.Config)
		require.NoError(t, err)
		end.Status.Nodes, end.Status.Connected = nil, 0
		for _, peer := range o.Nodes {
			if peer.SSH.Server.Status == nil {
				continue
			}
			pins := config.Nodes[slices.IndexFunc(config.Nodes, func(n ssh.Node) bool { return n.Name == peer.Name })].HostKeys
			require.Contains(t, pins, peer.SSH.Server.Key.Line, "the proxy refuses the server of "+peer.Name)
			require.Contains(t, peer.SSH.Server.Status.Authorized[o.Nodes[i].Name], end.Key.Fingerprint(), "the server refuses the proxy")
			end.Status.Nodes = append(end.Status.Nodes, proxy.NodeStatus{
				Name: peer.Name, Connected: true, HostKey: peer.SSH.Server.Key.Fingerprint(), Key: end.Key.Fingerprint(),
			})
			end.Status.Connected++
		}
	}
}

// installed is a service as it is found once it runs with what it is to have.
func installed(s service) serviceFound {
	found := serviceFound{map[string]string{
		"ActiveState": "active", "UnitFileState": "enabled", "ExecMainStartTimestamp": "@1000", "runs": programFile,
		"socket.ActiveState": "active", "socket.UnitFileState": "enabled",
	}, map[string]foundFile{programFile: {programMode, 999, "any"}}}
	for path, file := range s.files {
		digest := sha256.Sum256(file.Data)
		found.files[path] = foundFile{uint32(file.Mode), 999, hex.EncodeToString(digest[:])}
	}
	for _, path := range s.secrets {
		found.files[path] = foundFile{0o600, 999, "secret"}
	}
	return found
}

func withSSH(t *testing.T) Observation {
	t.Helper()
	o := withoutSSH(t)
	for _, step := range ofSSH(Plan(o, sshSettings())) {
		o.do(t, step, sshSettings())
	}
	require.Empty(t, ofSSH(Plan(o, sshSettings())))
	return o
}

// ofSSH are the steps that concern the tunnel.
func ofSSH(steps []Step) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(step Step) bool {
		return step.Kind != ReplaceAPIServer && !strings.Contains(string(step.Kind), "SSH")
	})
}

func TestAnSSHTunnelIsThereBeforeApiserversAreToldOfItAndGoesAfterTheyHaveForgotten(t *testing.T) {
	require.Equal(t, "amd64", architectures["x86_64"])
	without, o := withoutSSH(t), withSSH(t)
	requirePlanned(t, []planned{
		{AllowSSHProxy, firstNode, "there is no ServiceAccount"},
		{MakeSSHKeys, firstNode, "it has no key"}, {MakeSSHKeys, workerNode, "it has no key"},
		{InstallSSHServer, firstNode, "it isn't installed"}, {InstallSSHServer, workerNode, "it isn't installed"},
		{InstallSSHProxy, firstNode, "it isn't installed"},
		{ReplaceAPIServer, firstNode, "--egress-selector-config-file"},
	}, ofSSH(Plan(without, sshSettings())))

	none := settings.Defaults()
	none.SetFlag(settings.APIServer, egressFlag)
	none.Tunnel.Mode = settings.NoTunnel
	gone := []planned{
		{ReplaceAPIServer, firstNode, ""}, {RemoveSSHProxy, firstNode, ""},
		{RemoveSSHServer, firstNode, ""}, {RemoveSSHServer, workerNode, ""}, {DisallowSSHProxy, firstNode, ""},
	}
	requirePlanned(t, gone, ofSSH(Plan(o, none)))
	o.Nodes[0].APIServer.Baseline = controlplane.Flags{sshServiceRange: {"10.96.0.0/16"}}
	requirePlanned(t, gone, ofSSH(PlanRestore(o)))
	require.True(t, o.AnySSH())
	require.False(t, without.AnySSH())
}

func TestFromOneTunnelToTheOtherThereIsAlwaysOne(t *testing.T) {
	o := withTunnel(t)
	bare := withoutSSH(t)
	o.PodCIDRs, o.ProxyAccess = bare.PodCIDRs, bare.ProxyAccess
	o.Nodes[0].APIServer.Running[sshServiceRange] = []string{"10.96.0.0/16"}
	o.Nodes[0].APIServer.Manifest[sshServiceRange] = []string{"10.96.0.0/16"}
	var order []Kind
	for _, step := range Plan(o, sshSettings()) {
		if len(order) == 0 || order[len(order)-1] != step.Kind {
			order = append(order, step.Kind)
		}
	}
	require.Equal(t, []Kind{
		AllowSSHProxy, MakeSSHKeys, InstallSSHServer, InstallSSHProxy, ReplaceAPIServer, RemoveKonnectivityAgents, RemoveKonnectivityServer,
	}, order)
	o = withSSH(t)
	back := Plan(o, tunnelSettings())
	require.Equal(t, InstallKonnectivityServer, back[0].Kind)
	require.Equal(t, DisallowSSHProxy, back[len(back)-1].Kind)
}

// However far an exchange of keys came when the provider was killed, the next apply brings it to its end, and at no moment does
// one end refuse the other: connectSSH sees to that after each step.
func TestKeysAreExchangedWithoutAMomentInWhichOneEndRefusesTheOther(t *testing.T) {
	want := sshSettings()
	want.Tunnel.SSH.KeyGeneration = "2"
	whole := ofSSH(Plan(withSSH(t), want))
	requirePlanned(t, []planned{
		{MakeSSHKeys, firstNode, `rotate_keys_when_changed = "2"`}, {MakeSSHKeys, workerNode, ""},
		{InstallSSHServer, firstNode, "exchanged"}, {InstallSSHServer, workerNode, "exchanged"},
		{InstallSSHProxy, firstNode, "exchanged"},
		{InstallSSHServer, firstNode, "takes its new key"}, {InstallSSHServer, workerNode, "takes its new key"},
		{InstallSSHProxy, firstNode, "forgets"},
	}, whole)
	for ends := range len(whole) + 1 {
		t.Run(fmt.Sprintf("ended after %d steps", ends), func(t *testing.T) {
			o := withSSH(t)
			before := []string{o.Nodes[0].SSH.Server.Key.Line, o.Nodes[1].SSH.Server.Key.Line, o.Nodes[0].SSH.Proxy.Key.Line}
			for _, step := range whole[:ends] {
				o.do(t, step, want)
			}
			for _, step := range ofSSH(Plan(o, want)) {
				o.do(t, step, want)
			}
			require.Empty(t, ofSSH(Plan(o, want)))
			for _, key := range []SSHKey{o.Nodes[0].SSH.Server.Key, o.Nodes[1].SSH.Server.Key, o.Nodes[0].SSH.Proxy.Key} {
				require.NotContains(t, before, key.Line)
				require.Equal(t, "2", key.Generation)
			}
			for _, end := range [][]string{o.Nodes[0].SSH.Server.lines(), o.Nodes[0].SSH.Proxy.lines()} {
				require.Len(t, end, 1, "nothing is left of the old ones")
			}
		})
	}
	o := withSSH(t)
	o.Nodes[1].SSH.Server.Key.Generation = "1"
	found, differs := o.OtherSSHGeneration("")
	require.True(t, differs)
	require.Equal(t, "1", found)
	require.Empty(t, ofSSH(Plan(o, sshSettings())), "any will do where none is asked for")
}

func TestAnSSHTunnelThatIsNotAsItWasMadeIsMended(t *testing.T) {
	tests := map[string]struct {
		change  func(*Observation)
		declare func(*settings.Settings)
		want    []planned
	}{
		"a server that ended": {
			change: func(o *Observation) { o.Nodes[1].SSH.Server.found.properties["ActiveState"] = "failed" },
			want:   []planned{{InstallSSHServer, workerNode, "its unit is failed"}},
		},
		"a socket that somebody stopped": {
			change: func(o *Observation) { o.Nodes[1].SSH.Server.found.properties["socket.ActiveState"] = "inactive" },
			want:   []planned{{InstallSSHServer, workerNode, "its socket is inactive"}},
		},
		"a key that anybody may read": {
			change: func(o *Observation) {
				file := o.Nodes[1].SSH.Server.found.files[ssh.ServerKey]
				file.mode = 0o644
				o.Nodes[1].SSH.Server.found.files[ssh.ServerKey] = file
			},
			want: []planned{{InstallSSHServer, workerNode, "permissions 644, not 600"}},
		},
		"a server that was given another key": {
			change: func(o *Observation) { o.Nodes[1].SSH.Server.Status.HostKey = "SHA256:other" },
			want:   []planned{{InstallSSHServer, workerNode, "its host key is SHA256:other, to be SHA256:"}},
		},
		"a node that has shown another key": {
			change: func(o *Observation) { o.Nodes[0].SSH.Proxy.Status.Nodes[1].OtherHostKey = "SHA256:other" },
			want:   []planned{{InstallSSHProxy, firstNode, "node dev-worker has shown host key SHA256:other, which isn't its own"}},
		},
		"a proxy that lost a node": {
			change: func(o *Observation) {
				o.Nodes[0].SSH.Proxy.Status.Nodes[1].Connected = false
				o.Nodes[0].SSH.Proxy.Status.Nodes[1].Error = "connection refused"
			},
			want: []planned{{InstallSSHProxy, firstNode, "it isn't connected to node dev-worker: connection refused"}},
		},
		"a proxy that the API doesn't know": {
			change: func(o *Observation) { o.Nodes[0].SSH.Proxy.Status.APIError = "unauthorized" },
			want:   []planned{{InstallSSHProxy, firstNode, "unauthorized"}},
		},
		"a proxy that doesn't answer": {
			change: func(o *Observation) {
				o.Nodes[0].SSH.Proxy.Status, o.Nodes[0].SSH.Proxy.StatusOf = nil, errors.New("connection refused")
			},
			want: []planned{{InstallSSHProxy, firstNode, "it doesn't say how it is: connection refused"}},
		},
		"pods that have other addresses": {
			change: func(o *Observation) { o.PodCIDRs[workerNode] = []netip.Prefix{netip.MustParsePrefix("10.244.7.0/24")} },
			want: []planned{
				{InstallSSHServer, workerNode, ssh.ServerFile + " is another"}, {InstallSSHProxy, firstNode, ssh.ProxyFile + " is another"},
			},
		},
		"another port": {
			declare: func(s *settings.Settings) { s.Tunnel.SSH.Port = 2222 },
			want: []planned{
				{InstallSSHServer, firstNode, ssh.ServerSocket + " is another"}, {InstallSSHServer, workerNode, ssh.ServerSocket + " is another"},
				{InstallSSHProxy, firstNode, ssh.ProxyFile + " is another"},
			},
		},
		"a lost host key": {
			change: func(o *Observation) { o.Nodes[1].SSH.Server.Key = SSHKey{} },
			want: []planned{
				{MakeSSHKeys, workerNode, "it has no key"}, {InstallSSHServer, workerNode, "its host key is"},
				{InstallSSHProxy, firstNode, ""},
			},
		},
		"a node that joined": {
			change: func(o *Observation) {
				joined := o.Nodes[1]
				joined.Name, joined.SSH = "dev-worker2", SSHObservation{}
				joined.Addresses = []netip.Addr{netip.MustParseAddr("172.18.0.4")}
				o.Nodes = append(o.Nodes, joined)
				o.PodCIDRs["dev-worker2"] = []netip.Prefix{netip.MustParsePrefix("10.244.2.0/24")}
			},
			want: []planned{
				{MakeSSHKeys, "dev-worker2", "it has no key"}, {InstallSSHServer, "dev-worker2", "it isn't installed"},
				{InstallSSHProxy, firstNode, ""},
			},
		},
		"without an API nothing is known of it": {change: func(o *Observation) { o.PodCIDRs = nil }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, want := withSSH(t), sshSettings()
			if test.change != nil {
				test.change(&o)
			}
			if test.declare != nil {
				test.declare(&want)
			}
			requirePlanned(t, test.want, ofSSH(Plan(o, want)))
		})
	}
}

func TestAnSSHTunnelThatIsNoLongerWholeShowsAsNone(t *testing.T) {
	mode := declarable(t, settings.NameTunnelMode)
	declared, none := settings.Value{"ssh"}, settings.Value{"none"}
	for name, test := range map[string]struct {
		change func(*Observation)
		held   settings.Value
		want   settings.Value
	}{
		"a tunnel as declared":            {func(*Observation) {}, declared, declared},
		"the flag is gone":                {func(o *Observation) { delete(o.Nodes[0].APIServer.Running, egressFlag) }, declared, none},
		"a server that doesn't answer":    {func(o *Observation) { o.Nodes[1].SSH.Server.Status = nil }, declared, none},
		"a node that isn't connected":     {func(o *Observation) { o.Nodes[0].SSH.Proxy.Status.Nodes[1].Connected = false }, declared, none},
		"another tunnel than declared":    {func(*Observation) {}, settings.Value{"konnectivity"}, declared},
		"a tunnel where none is declared": {func(*Observation) {}, none, declared},
	} {
		t.Run(name, func(t *testing.T) {
			o := withSSH(t)
			test.change(&o)
			require.Equal(t, test.want, o.Value(mode, test.held, test.held))
		})
	}
}

func TestAPortThatSomebodyElseHasIsRefused(t *testing.T) {
	o := withoutSSH(t)
	o.Nodes[1].SSH.Listeners = map[uint16]string{22: "sshd", 10250: "kubelet"}
	err := CheckTunnel(o, sshSettings())
	taken, ok := errors.AsType[*PortTakenError](err)
	require.True(t, ok)
	require.Equal(t, PortTakenError{Node: workerNode, Port: 22, Program: "sshd"}, *taken)
	other := sshSettings()
	other.Tunnel.SSH.Port = 2222
	require.NoError(t, CheckTunnel(o, other))
	require.NoError(t, CheckTunnel(o, settings.Defaults()))

	ours := withSSH(t)
	ours.Nodes[1].SSH.Listeners = map[uint16]string{22: "systemd"}
	require.NoError(t, CheckTunnel(ours, sshSettings()))
	found, differs := ours.OtherSSHPort(2222)
	require.True(t, differs)
	require.Equal(t, uint16(22), found)
}

func TestWhatASSHServerForwardsToIsOnItsNodeAlone(t *testing.T) {
	o := withSSH(t)
	config := o.serverConfig(o.Nodes[1])
	require.Equal(t, o.Nodes[1].Addresses, config.Addresses)
	require.Equal(t, o.PodCIDRs[workerNode], config.PodCIDRs)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}, config.ServiceCIDRs)
	require.Equal(t, map[string][]string{firstNode: {o.Nodes[0].SSH.Proxy.Key.Line}}, config.AuthorizedKeys)
	require.Equal(t, cluster.ControlPlane, o.Nodes[0].Role)
}

func TestWhoListensOnANodeIsReadFromWhatItPrints(t *testing.T) {
	found := parseLook(`machine x86_64
there /etc/systemd/system/kubecomm-ssh-server.socket
listens 127.0.0.1:10248 users:(("kubelet",pid=200,fd=12))
listens [::1]:9000 users:(("x",pid=1,fd=1))
listens 172.18.0.2:2379 users:(("etcd",pid=300,fd=7))
listens *:10250 users:(("kubelet",pid=200,fd=20))
listens 0.0.0.0:22 users:(("sshd",pid=44,fd=3),("systemd",pid=1,fd=40))
listens [::]:111
`)
	require.Equal(t, sshLeft{
		machine: "x86_64", any: true, listeners: map[uint16]string{2379: "etcd", 10250: "kubelet", 22: "sshd", 111: "a program"},
	}, found)
}
