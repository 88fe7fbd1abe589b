package apply

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// tunnelSettings declare a tunnel beside what is declared by default.
func tunnelSettings() settings.Settings {
	want := settings.Defaults()
	want.Tunnel.Mode = settings.Konnectivity
	want.Documents = map[string]settings.Document{egressFlag: egressFile()}
	return want
}

func egressFile() settings.Document {
	return settings.Document{Name: "egress-selector", Extension: "yaml", Data: konnectivity.EgressSelection()}
}

// withTunnel is a hardened cluster of one control plane and one worker whose apiserver uses a tunnel.
func withTunnel(t *testing.T) Observation {
	t.Helper()
	o := hardened(t)
	o.Minor, o.Konnectivity = 37, KonnectivityObservation{Known: true}
	file := documentFile(egressFile())
	server := o.Nodes[0].APIServer
	for _, flags := range []controlplane.Flags{server.Running, server.Manifest} {
		flags[egressFlag] = []string{file}
	}
	server.Baseline = controlplane.Flags{}
	server.Documents = map[string][]byte{file: konnectivity.EgressSelection()}
	o.Nodes[0].KonnectivityServer = serverWith(t, o.Nodes[0], konnectivityOptions(tunnelSettings(), 37))
	o.connect(tunnelSettings())
	return o
}

// connect has agents on every node that are connected to every server.
func (o *Observation) connect(want settings.Settings) {
	servers := o.konnectivityServers()
	o.Konnectivity.Found = konnectivity.Objects(konnectivityOptions(want, o.Minor), servers, o.workers())
	o.Konnectivity.Connected = map[string][]string{}
	for _, server := range servers {
		o.Konnectivity.Connected[server.ContainerName()] = nodeNames(*o)
	}
}

func serverWith(t *testing.T, node NodeObservation, options konnectivity.Options) KonnectivityServerObservation {
	t.Helper()
	ca, err := pki.NewServerCA(konnectivity.ServerName, node.Name, planTime)
	require.NoError(t, err)
	issue := func(kind string, names []string) *x509.Certificate {
		issued, err := ca.IssueServer(kind, names, pki.ServingRequest{
			Node: node.Name, Addresses: node.Addresses, Lifetime: konnectivityCertificateLifetime, Now: planTime,
		})
		require.NoError(t, err)
		return issued.Certificate
	}
	found := KonnectivityServerObservation{
		Present: true, CA: ca.Certificate, Serving: issue(konnectivity.ServerName, []string{konnectivity.ServingName}),
		Client: issue(konnectivity.ServerUser, nil), Files: map[string]cluster.File{}, Keys: map[string]string{},
	}
	for _, key := range konnectivityKeys() {
		found.Keys[key] = "600"
	}
	for _, path := range konnectivityPublic() {
		found.Files[path] = cluster.File{Data: []byte(path)}
	}
	manifest, err := konnectivity.ServerManifest(options, node.Name, found.manifestFiles()...)
	require.NoError(t, err)
	found.Files[konnectivity.Manifest] = cluster.File{Data: manifest}
	return found
}

func TestATunnelIsThereBeforeApiserversAreToldOfItAndGoesAfterTheyHaveForgotten(t *testing.T) {
	const first, worker = "dev-control-plane", "dev-worker"
	toFile := "it runs with no --egress-selector-config-file, to be --egress-selector-config-file=" + documentFile(egressFile())
	install := func(reason string) []planned {
		return []planned{{InstallKonnectivityServer, first, reason}, {RunKonnectivityAgents, first, "the server of node dev-control-plane is installed anew"}}
	}
	without := func(o *Observation) {
		found := o.Nodes[0].APIServer
		delete(found.Running, egressFlag)
		delete(found.Manifest, egressFlag)
		o.Nodes[0].KonnectivityServer = KonnectivityServerObservation{}
		o.Konnectivity = KonnectivityObservation{Known: true}
	}
	tests := map[string]struct {
		change  func(*Observation)
		declare func(*settings.Settings)
		want    []planned
	}{
		"a cluster that has it needs nothing": {},
		"a cluster without one gets servers, agents, and then the flag": {
			change: without,
			want: []planned{
				{InstallKonnectivityServer, first, "it isn't there"}, {RunKonnectivityAgents, first, "there is no ServiceAccount konnectivity-agent"},
				{ReplaceAPIServer, first, toFile},
			},
		},
		"images from archives come first, on every node": {
			change: without, declare: func(s *settings.Settings) { s.Tunnel.ImageArchives = []string{"images.tar"} },
			want: []planned{
				{LoadKonnectivityImages, first, "from archives"}, {LoadKonnectivityImages, worker, ""},
				{InstallKonnectivityServer, first, ""}, {RunKonnectivityAgents, first, ""}, {ReplaceAPIServer, first, ""},
			},
		},
		"archives alone change nothing": {
			declare: func(s *settings.Settings) { s.Tunnel.ImageArchives = []string{"images.tar"} },
		},
		"one that is no longer declared goes once no apiserver uses it, agents before servers": {
			declare: func(s *settings.Settings) { *s = settings.Defaults() },
			want: []planned{
				{ReplaceAPIServer, first, "to be no --egress-selector-config-file"},
				{RemoveKonnectivityAgents, first, "it is no longer declared"}, {RemoveKonnectivityServer, first, ""},
			},
		},
		"none is declared, and nothing is there": {change: without, declare: func(s *settings.Settings) {
			*s = settings.Defaults()
			s.Tunnel.Mode = settings.NoTunnel
			s.SetFlag(settings.APIServer, egressFlag)
		}},
		"what an apply left behind that was killed goes": {
			change: func(o *Observation) {
				server := o.Nodes[0].KonnectivityServer
				without(o)
				o.Nodes[0].KonnectivityServer = server
			},
			declare: func(s *settings.Settings) { *s = settings.Defaults() },
			want:    []planned{{RemoveKonnectivityServer, first, "it is no longer declared"}},
		},
		"a server whose manifest was removed": {
			change: func(o *Observation) {
				delete(o.Nodes[0].KonnectivityServer.Files, konnectivity.Manifest)
				o.Nodes[0].KonnectivityServer.Problem = fs.ErrNotExist
			},
			want: install("konnectivity-server.yaml is missing"),
		},
		"a server whose manifest was changed": {
			change: func(o *Observation) {
				o.Nodes[0].KonnectivityServer.Files[konnectivity.Manifest] = cluster.File{Data: []byte("x")}
			},
			want: install("another than what it should be"),
		},
		"a server that doesn't work": {
			change: func(o *Observation) { o.Nodes[0].KonnectivityServer.Problem = errors.New("connection refused") },
			want:   install("it doesn't work: connection refused"),
		},
		"a key that others may read": {
			change: func(o *Observation) { o.Nodes[0].KonnectivityServer.Keys[konnectivity.ClientKey] = "644" },
			want:   install("client.key has permissions 644, not 600"),
		},
		"a node that got another address": {
			change: func(o *Observation) {
				o.Nodes[0].Addresses = []netip.Addr{netip.MustParseAddr("172.18.0.9")}
			},
			want: install("names other addresses"),
		},
		"certificates that are due": {
			change: func(o *Observation) {
				o.Time = planTime.Add(konnectivityCertificateLifetime/3*2 + time.Hour)
				for i := range o.Nodes {
					o.Nodes[i].Serving.Chain[0].NotAfter = o.Time.Add(2 * konnectivityCertificateLifetime)
				}
			},
			want: install("two thirds of its serving certificate's life"),
		},
		"agents were deleted": {
			change: func(o *Observation) { o.Konnectivity.Found.DaemonSets[0] = nil },
			want:   []planned{{RunKonnectivityAgents, first, "there is no DaemonSet konnectivity-agent"}},
		},
		"agents were given more to do": {
			change: func(o *Observation) {
				pod := &o.Konnectivity.Found.DaemonSets[1].Spec.Template.Spec
				pod.Containers = append(pod.Containers, corev1.Container{Name: "stranger"})
			},
			want: []planned{{RunKonnectivityAgents, first, "DaemonSet konnectivity-agent-control-plane is another than what it should be"}},
		},
		"leases that nobody counts any more": {
			change: func(o *Observation) { o.Konnectivity.Found.Roles = allKonnectivityObjects().Roles },
			want:   []planned{{RunKonnectivityAgents, first, "Role konnectivity-server isn't needed"}},
		},
		"agents are to count leases": {
			declare: func(s *settings.Settings) { s.Tunnel.Konnectivity.ServerCount = konnectivity.Leases },
			want: []planned{
				{InstallKonnectivityServer, first, "is another than what it should be"},
				{RunKonnectivityAgents, first, "ConfigMap konnectivity-ca is another than what it should be"},
			},
		},
		"an agent that counts leases has not met every server": {
			declare: func(s *settings.Settings) { s.Tunnel.Konnectivity.ServerCount = konnectivity.Leases },
			change: func(o *Observation) {
				want := tunnelSettings()
				want.Tunnel.Konnectivity.ServerCount = konnectivity.Leases
				manifest, err := konnectivity.ServerManifest(konnectivityOptions(want, 37), first, o.Nodes[0].KonnectivityServer.manifestFiles()...)
				require.NoError(t, err)
				o.Nodes[0].KonnectivityServer.Files[konnectivity.Manifest] = cluster.File{Data: manifest}
				o.connect(want)
				o.Konnectivity.Connected["to-dev-control-plane"] = []string{first}
			},
			want: []planned{{RunKonnectivityAgents, first, "no agent of dev-worker is connected to every server"}},
		},
		"an agent of one node isn't connected": {
			change: func(o *Observation) { o.Konnectivity.Connected["to-dev-control-plane"] = []string{first} },
			want:   []planned{{RunKonnectivityAgents, first, "no agent of dev-worker is connected to the server of node dev-control-plane"}},
		},
		"the file was changed": {
			change: func(o *Observation) {
				o.Nodes[0].APIServer.Documents[documentFile(egressFile())] = []byte("another")
			},
			want: []planned{{ReplaceAPIServer, first, "which was changed since"}},
		},
		"another image": {
			declare: func(s *settings.Settings) { s.Tunnel.Konnectivity.Images.Server = "registry.example/server:v1" },
			want:    install("another than what it should be"),
		},
		"a keepalive of one's own": {
			declare: func(s *settings.Settings) { s.Tunnel.Konnectivity.Keepalive = 5 * time.Minute },
			want: []planned{
				{InstallKonnectivityServer, first, ""}, {RunKonnectivityAgents, first, "DaemonSet konnectivity-agent is another"},
			},
		},
		"a control plane that joined gets a server, and every agent a connection to it": {
			change: func(o *Observation) {
				joined := o.Nodes[0]
				joined.Name, joined.KonnectivityServer = "dev-control-plane2", KonnectivityServerObservation{}
				joined.APIServer = &APIServerObservation{
					ComponentObservation: ComponentObservation{
						Running: maps.Clone(joined.APIServer.Running), Manifest: maps.Clone(joined.APIServer.Manifest), Baseline: controlplane.Flags{},
					},
					IssuerCurrent: true, Trust: joined.APIServer.Trust,
				}
				delete(joined.APIServer.Running, egressFlag)
				delete(joined.APIServer.Manifest, egressFlag)
				o.Nodes = []NodeObservation{o.Nodes[0], joined, o.Nodes[1]}
			},
			declare: func(s *settings.Settings) { s.ServingSource = "" },
			want: []planned{
				{InstallKonnectivityServer, "dev-control-plane2", "it isn't there"},
				{RunKonnectivityAgents, first, "ConfigMap konnectivity-ca is another"},
				{ReplaceAPIServer, "dev-control-plane2", toFile},
			},
		},
		"without an API nothing is known of it": {
			change: func(o *Observation) { o.Konnectivity = KonnectivityObservation{} },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observed, want := withTunnel(t), tunnelSettings()
			if test.change != nil {
				test.change(&observed)
			}
			if test.declare != nil {
				test.declare(&want)
			}
			requirePlanned(t, test.want, ofTunnel(Plan(observed, want)))
		})
	}
}

// ofTunnel are the steps that concern a tunnel.
func ofTunnel(steps []Step) []Step {
	var found []Step
	for _, step := range steps {
		switch step.Kind {
		case LoadKonnectivityImages, InstallKonnectivityServer, RunKonnectivityAgents, ReplaceAPIServer, RemoveKonnectivityAgents, RemoveKonnectivityServer:
			found = append(found, step)
		}
	}
	return found
}

func requirePlanned(t *testing.T, want []planned, steps []Step) {
	t.Helper()
	require.Len(t, steps, len(want), describe(steps))
	for i, step := range steps {
		require.Equal(t, want[i].kind, step.Kind, describe(steps))
		require.Equal(t, want[i].node, step.Node, describe(steps))
		require.Contains(t, step.Reason, want[i].reason)
	}
}

func TestADestroyTakesTheFlagBackBeforeTheTunnelGoes(t *testing.T) {
	for name, damage := range map[string]func(*Observation){
		"a tunnel that works": func(*Observation) {},
		"one with dead agents": func(o *Observation) {
			o.Konnectivity.Connected = nil
			o.Nodes[0].KonnectivityServer.Problem = errors.New("connection refused")
		},
	} {
		t.Run(name, func(t *testing.T) {
			observed := withTunnel(t)
			damage(&observed)
			requirePlanned(t, []planned{
				{ReplaceAPIServer, "dev-control-plane", "destroy"}, {RemoveKonnectivityAgents, "dev-control-plane", "destroy"},
				{RemoveKonnectivityServer, "dev-control-plane", "destroy"},
			}, ofTunnel(PlanRestore(observed)))
		})
	}
	require.Empty(t, ofTunnel(PlanRestore(stock())))
}

func TestATunnelThatIsNoLongerWholeShowsAsNone(t *testing.T) {
	mode := declarable(t, settings.NameTunnelMode)
	declared, none := settings.Value{"konnectivity"}, settings.Value{"none"}
	file := documentFile(egressFile())
	tests := map[string]struct {
		change func(*Observation)
		held   settings.Value
		want   settings.Value
	}{
		"a tunnel as declared":            {func(*Observation) {}, declared, declared},
		"the flag is gone":                {func(o *Observation) { delete(o.Nodes[0].APIServer.Running, egressFlag) }, declared, none},
		"the next process will have none": {func(o *Observation) { delete(o.Nodes[0].APIServer.Manifest, egressFlag) }, declared, none},
		"the file was changed":            {func(o *Observation) { o.Nodes[0].APIServer.Documents[file] = []byte("x") }, declared, none},
		"no server":                       {func(o *Observation) { o.Nodes[0].KonnectivityServer = KonnectivityServerObservation{} }, declared, none},
		"a server that doesn't work":      {func(o *Observation) { o.Nodes[0].KonnectivityServer.Problem = fs.ErrNotExist }, declared, none},
		"no agents":                       {func(o *Observation) { o.Konnectivity.Connected = nil }, declared, none},
		"a tunnel that isn't declared":    {func(*Observation) {}, nil, declared},
		"a tunnel where none should be":   {func(*Observation) {}, none, declared},
		"somebody else's where none should be": {func(o *Observation) {
			for _, flags := range []controlplane.Flags{o.Nodes[0].APIServer.Running, o.Nodes[0].APIServer.Manifest} {
				flags[egressFlag] = []string{"/etc/kubernetes/egress.yaml"}
			}
		}, none, settings.Value{"unknown"}},
		"somebody else's where nothing is declared": {func(o *Observation) {
			for _, flags := range []controlplane.Flags{o.Nodes[0].APIServer.Running, o.Nodes[0].APIServer.Manifest} {
				flags[egressFlag] = []string{"/etc/kubernetes/egress.yaml"}
			}
		}, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observed := withTunnel(t)
			test.change(&observed)
			require.Equal(t, test.want, observed.Value(mode, test.held, test.held))
		})
	}
	require.Equal(t, none, stock().Value(mode, none, none), "there is none")
}

func TestSomebodyElsesKonnectivityStays(t *testing.T) {
	observed := withTunnel(t)
	require.NoError(t, CheckTunnel(observed, tunnelSettings()))
	require.NoError(t, CheckTunnel(stock(), tunnelSettings()))
	observed.Konnectivity.Found.DaemonSets[0].Labels = nil
	require.ErrorContains(t, CheckTunnel(observed, tunnelSettings()), "isn't kubecomm's: DaemonSet konnectivity-agent")
	require.NoError(t, CheckTunnel(observed, settings.Defaults()), "none is declared")

	theirs := stock()
	theirs.Nodes[0].KonnectivityServer = KonnectivityServerObservation{
		Present: true, Files: map[string]cluster.File{konnectivity.Manifest: {Data: []byte("theirs")}},
	}
	require.ErrorIs(t, CheckTunnel(theirs, tunnelSettings()), ErrForeignKonnectivity)
	require.Empty(t, ofTunnel(PlanRestore(theirs)), "a destroy leaves it")
}

func TestAWebhookIsReachedWhereItsServerHangsUpAndNowhereElse(t *testing.T) {
	const failed = `Internal error occurred: failed calling webhook "tunnel-proof.kubecomm.io": failed to call webhook: Post "https://konnectivity-server.kube-system.svc:8132/?timeout=5s": `
	for text, reached := range map[string]bool{
		failed + "EOF": true,
		failed + "remote error: tls: no application protocol":                                       true,
		failed + "net/http: HTTP/1.x transport connection broken: malformed HTTP response":          true,
		failed + "No agent available":                                                               false,
		failed + "dial timeout, backstop":                                                           false,
		failed + "tls: failed to verify certificate: x509: certificate signed by unknown authority": false,
		`failed calling webhook "another": EOF`:                                                     false,
		`Get "https://127.0.0.1:7443": EOF`:                                                         false,
	} {
		require.Equal(t, reached, konnectivityWays("").hasAsked(errors.New(text)), text)
	}
	require.False(t, konnectivityWays("").hasAsked(nil))
}
