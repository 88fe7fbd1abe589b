package apply

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

var planTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// stock is a cluster of one control plane and one worker as kubeadm makes it.
func stock() Observation {
	refused := errors.New("x509: certificate signed by unknown authority")
	node := func(name string, role cluster.Role, address string) NodeObservation {
		return NodeObservation{
			Name: name, Role: role, Addresses: []netip.Addr{netip.MustParseAddr(address)},
			Serving: ServingObservation{Problem: refused, Dialled: netip.AddrPortFrom(netip.MustParseAddr(address), 10250)},
		}
	}
	first := node("dev-control-plane", cluster.ControlPlane, "172.18.0.2")
	first.APIServer = &APIServerObservation{ComponentObservation: ComponentObservation{Running: controlplane.Flags{}, Manifest: controlplane.Flags{}}}
	return Observation{Time: planTime, Nodes: []NodeObservation{first, node("dev-worker", cluster.Worker, "172.18.0.3")}}
}

// hardened is the same cluster after an apply with default settings.
func hardened(t *testing.T) Observation {
	t.Helper()
	ca, err := pki.NewCA("dev", planTime)
	require.NoError(t, err)
	return hardenedBy(t, ca)
}

func hardenedBy(t *testing.T, ca *pki.CA) Observation {
	t.Helper()
	o := stock()
	o.Issuer = ca.Certificate
	file := bundleFile(pki.EncodeBundle(ca.Certificate))
	o.Nodes[0].APIServer = &APIServerObservation{
		ComponentObservation: ComponentObservation{
			Running: controlplane.Flags{kubeletCAFlag: {file}}, Manifest: controlplane.Flags{kubeletCAFlag: {file}},
			Baseline: controlplane.Flags{},
		},
		IssuerCurrent: true, Trust: TrustObservation{File: file, Certificates: []*x509.Certificate{ca.Certificate}},
	}
	for i := range o.Nodes {
		o.Nodes[i].issue(t, ca)
	}
	return o
}

func (n *NodeObservation) issue(t *testing.T, ca *pki.CA) {
	t.Helper()
	issued, err := ca.IssueServing(pki.ServingRequest{
		Node: n.Name, Addresses: n.Addresses, Lifetime: settings.Defaults().ServingValidity, Now: planTime,
	})
	require.NoError(t, err)
	n.Serving.Chain, n.Serving.Problem = []*x509.Certificate{issued.Certificate}, nil
}

// planned is a step without its reason, or with the part of it that matters.
type planned struct {
	kind   Kind
	node   string
	reason string
}

func TestAPlanHoldsTheStepsThatAreNeededInASafeOrder(t *testing.T) {
	all := []planned{
		{CreateIssuer, "dev-control-plane", "no control plane has it with its key"},
		{IssueServing, "dev-control-plane", ""},
		{IssueServing, "dev-worker", ""},
		{ReplaceAPIServer, "dev-control-plane", "the CA is new"},
	}
	furtherCA, err := pki.NewCA("further", planTime)
	require.NoError(t, err)
	tests := map[string]struct {
		change  func(*Observation)
		declare func(*settings.Settings)
		want    []planned
	}{
		"a hardened cluster needs nothing": {},
		"a stock cluster needs everything, certificates before the flag": {
			change: func(o *Observation) { *o = stock() }, want: all,
		},
		"a stock cluster whose apiserver need not verify gets certificates only": {
			change:  func(o *Observation) { *o = stock() },
			declare: func(s *settings.Settings) { s.VerifyKubelets = false },
			want:    all[:3],
		},
		"a lost issuer is made anew, and with it all that depends on it": {
			change: func(o *Observation) { o.Issuer = nil },
			want:   rotation("no control plane has it with its key"),
		},
		"an issuer that is due is made anew": {
			change: func(o *Observation) {
				o.Time = planTime.Add(pki.CALifetime/3*2 + time.Hour)
				for i := range o.Nodes { // renewed meanwhile
					o.Nodes[i].Serving.Chain[0].NotAfter = o.Time.Add(time.Hour)
				}
			},
			want: rotation("two thirds of its life are over"),
		},
		"a second control plane without the issuer gets a copy, a certificate and the flag": {
			change: func(o *Observation) {
				joined := stock().Nodes[0]
				joined.Name = "dev-control-plane2"
				o.Nodes = []NodeObservation{o.Nodes[0], joined, o.Nodes[1]}
			},
			want: []planned{
				{CopyIssuer, "dev-control-plane2", "missing or differ"},
				{IssueServing, "dev-control-plane2", "the one it serves is refused"},
				{ReplaceAPIServer, "dev-control-plane2", "it runs with no --kubelet-certificate-authority, to be --kubelet-certificate-authority=/etc"},
			},
		},
		"a stranger's certificate on a worker is replaced": {
			change: func(o *Observation) { o.Nodes[1].Serving.Problem = errors.New("x509: stranger") },
			want:   []planned{{IssueServing, "dev-worker", "refused: x509: stranger"}},
		},
		"a worker that got another address gets another certificate": {
			change: func(o *Observation) { o.Nodes[1].Addresses = []netip.Addr{netip.MustParseAddr("172.18.0.9")} },
			want:   []planned{{IssueServing, "dev-worker", "names other addresses"}},
		},
		"another validity reissues every certificate": {
			declare: func(s *settings.Settings) { s.ServingValidity = time.Hour },
			want: []planned{
				{IssueServing, "dev-control-plane", "valid for 8760h, declared is 1h"},
				{IssueServing, "dev-worker", "valid for 8760h, declared is 1h"},
			},
		},
		"a certificate is renewed when two thirds of its life are over": {
			change: func(o *Observation) { o.Time = planTime.Add(5840 * time.Hour) },
			want: []planned{
				{IssueServing, "dev-control-plane", "two thirds of its life are over"},
				{IssueServing, "dev-worker", "two thirds of its life are over"},
			},
		},
		"a certificate is not renewed before": {
			change: func(o *Observation) { o.Time = planTime.Add(5839 * time.Hour) },
		},
		"a flag that was removed from the process and the manifest is set": {
			change: func(o *Observation) {
				o.Nodes[0].APIServer.Running, o.Nodes[0].APIServer.Manifest = controlplane.Flags{}, controlplane.Flags{}
			},
			want: []planned{{ReplaceAPIServer, "dev-control-plane", "it runs with no --kubelet-certificate-authority, to be"}},
		},
		"a manifest that was edited and not taken up is drift": {
			change: func(o *Observation) { o.Nodes[0].APIServer.Manifest = controlplane.Flags{} },
			want:   []planned{{ReplaceAPIServer, "dev-control-plane", "its manifest says no --kubelet-certificate-authority"}},
		},
		"a bundle that somebody changed is written again, and loaded": {
			change: func(o *Observation) { o.Nodes[0].APIServer.Trust.Changed = true },
			want:   []planned{{ReplaceAPIServer, "dev-control-plane", "which was changed since"}},
		},
		"a further CA is trusted by another bundle": {
			declare: func(s *settings.Settings) { s.KubeletCAs = string(pki.EncodeBundle(furtherCA.Certificate)) },
			want:    []planned{{ReplaceAPIServer, "dev-control-plane", "to be --kubelet-certificate-authority=/etc"}},
		},
		"a flag of ours goes when it is no longer declared": {
			declare: func(s *settings.Settings) { s.VerifyKubelets = false },
			want:    []planned{{ReplaceAPIServer, "dev-control-plane", "to be no --kubelet-certificate-authority"}},
		},
		"a flag of the user's own stays when ours is not declared": {
			change: func(o *Observation) {
				own := controlplane.Flags{kubeletCAFlag: {"/etc/kubernetes/pki/ca.crt"}}
				o.Nodes[0].APIServer = &APIServerObservation{
					ComponentObservation: ComponentObservation{Running: own, Manifest: own}, IssuerCurrent: true,
				}
			},
			declare: func(s *settings.Settings) { s.VerifyKubelets = false },
		},
		"a flag of the user's own comes back when ours is no longer declared": {
			change: func(o *Observation) {
				o.Nodes[0].APIServer.Baseline = controlplane.Flags{kubeletCAFlag: {"/own.crt"}}
			},
			declare: func(s *settings.Settings) { s.VerifyKubelets = false },
			want:    []planned{{ReplaceAPIServer, "dev-control-plane", "to be --kubelet-certificate-authority=/own.crt"}},
		},
		"other components come after the apiservers, on control planes alone": {
			declare: func(s *settings.Settings) {
				for _, component := range []settings.Component{settings.Etcd, settings.Scheduler, settings.ControllerManager, settings.APIServer} {
					s.SetFlag(component, "tls-min-version", "x")
				}
			},
			change: func(o *Observation) {
				o.Nodes[0].Others = map[settings.Component]*ComponentObservation{
					settings.ControllerManager: {}, settings.Scheduler: {}, settings.Etcd: {},
				}
			},
			want: []planned{
				{ReplaceAPIServer, "dev-control-plane", "to be --tls-min-version=x"},
				{ReplaceControllerManager, "dev-control-plane", "to be --tls-min-version=x"},
				{ReplaceScheduler, "dev-control-plane", "to be --tls-min-version=x"},
				{ReplaceEtcd, "dev-control-plane", "to be --tls-min-version=x"},
			},
		},
		"all flags of an apply go in one swap": {
			declare: func(s *settings.Settings) {
				s.SetFlag(settings.APIServer, "tls-min-version", "VersionTLS13")
				s.SetFlag(settings.APIServer, "profiling", "false")
			},
			want: []planned{{ReplaceAPIServer, "dev-control-plane",
				"it runs with no --profiling, to be --profiling=false, it runs with no --tls-min-version, to be"}},
		},
		"plugins that a profile demands and the apiserver has take no step, whatever else it has": {
			declare: demandPlugins, change: hadPlugins("NodeRestriction,AlwaysPullImages", "NodeRestriction,AlwaysPullImages"),
		},
		"a plugin that a profile demands and the apiserver never had is added to the others": {
			declare: demandPlugins, change: hadPlugins("AlwaysPullImages", "AlwaysPullImages"),
			want: []planned{{ReplaceAPIServer, "dev-control-plane", "to be --enable-admission-plugins=AlwaysPullImages,NodeRestriction"}},
		},
		"a plugin that a profile demands and the apiserver has lost comes back": {
			declare: demandPlugins, change: hadPlugins("NodeRestriction", ""),
			want: []planned{{ReplaceAPIServer, "dev-control-plane", "to be --enable-admission-plugins=NodeRestriction"}},
		},
		"a plugin that a profile wants on is on again, and the others that were off stay off": {
			declare: demandPlugins,
			change: func(o *Observation) {
				hadPlugins("NodeRestriction", "NodeRestriction")(o)
				off := []string{"PodSecurity,ServiceAccount"}
				server := o.Nodes[0].APIServer
				server.Baseline = nil
				server.Running["disable-admission-plugins"], server.Manifest["disable-admission-plugins"] = off, off
			},
			want: []planned{{ReplaceAPIServer, "dev-control-plane", "to be --disable-admission-plugins=PodSecurity"}},
		},
		"a kubelet field restarts kubelets, and no apiserver is swapped": {
			declare: func(s *settings.Settings) { s.KubeletFields = map[string]any{"maxPods": 50} },
			want: []planned{
				{ConfigureKubelet, "dev-control-plane", "its configuration has no maxPods, to be maxPods: 50"},
				{ConfigureKubelet, "dev-worker", "its configuration has no maxPods, to be maxPods: 50"},
			},
		},
		"a node's own field restarts that node's kubelet alone": {
			declare: func(s *settings.Settings) {
				s.NodeKubeletFields = map[string]map[string]any{"dev-worker": {"maxPods": 50}}
			},
			want: []planned{{ConfigureKubelet, "dev-worker", "its configuration has no maxPods, to be maxPods: 50"}},
		},
		"a node has its own field in place of the one for all": {
			declare: func(s *settings.Settings) {
				s.KubeletFields = map[string]any{"maxPods": 50}
				s.NodeKubeletFields = map[string]map[string]any{"dev-worker": {"maxPods": 60}}
			},
			want: []planned{
				{ConfigureKubelet, "dev-control-plane", "its configuration has no maxPods, to be maxPods: 50"},
				{ConfigureKubelet, "dev-worker", "its configuration has no maxPods, to be maxPods: 60"},
			},
		},
		"a node's field that is no longer its own goes back to what is for all": {
			change: func(o *Observation) {
				for i, floor := range []string{`"VersionTLS12"`, `"VersionTLS13"`} {
					fields := kubelet.Fields{"tlsMinVersion": []byte(floor)}
					o.Nodes[i].Kubelet = KubeletObservation{File: fields, Running: fields, Baseline: kubelet.Fields{}}
				}
			},
			declare: func(s *settings.Settings) { s.KubeletFields = map[string]any{"tlsMinVersion": "VersionTLS12"} },
			want:    []planned{{ConfigureKubelet, "dev-worker", `has tlsMinVersion: "VersionTLS13", to be tlsMinVersion: "VersionTLS12"`}},
		},
		"a node's field that is no longer its own goes back to what was there before": {
			change: func(o *Observation) {
				fields := kubelet.Fields{"tlsMinVersion": []byte(`"VersionTLS13"`)}
				o.Nodes[1].Kubelet = KubeletObservation{File: fields, Running: fields, Baseline: kubelet.Fields{}}
			},
			want: []planned{{ConfigureKubelet, "dev-worker", `has tlsMinVersion: "VersionTLS13", to be no tlsMinVersion`}},
		},
		"a kubelet that did not take up its configuration restarts": {
			change: func(o *Observation) { o.Nodes[1].Kubelet.Stale = true },
			want:   []planned{{ConfigureKubelet, "dev-worker", "was changed after it started"}},
		},
		"a kubelet that runs with something else than its file says restarts": {
			change: func(o *Observation) {
				o.Nodes[1].Kubelet = KubeletObservation{
					File: kubelet.Fields{"maxPods": []byte("50")}, Running: kubelet.Fields{"maxPods": []byte("110")},
				}
				o.Nodes[0].Kubelet = KubeletObservation{
					File: kubelet.Fields{"maxPods": []byte("50")}, Running: kubelet.Fields{"maxPods": []byte("50")},
				}
			},
			declare: func(s *settings.Settings) { s.KubeletFields = map[string]any{"maxPods": 50} },
			want:    []planned{{ConfigureKubelet, "dev-worker", "it runs with maxPods: 110, to be maxPods: 50"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observed, want := hardened(t), settings.Defaults()
			if test.change != nil {
				test.change(&observed)
			}
			if test.declare != nil {
				test.declare(&want)
			}
			requireSteps(t, test.want, Plan(observed, want))
		})
	}
}

// demandPlugins declares of admission plugins what profiles say.
func demandPlugins(s *settings.Settings) {
	for _, setting := range settings.Managed() {
		if setting.Name == "apiserver.admission_plugins" || setting.Name == "apiserver.disabled_admission_plugins" {
			s.Declare(setting, settings.Baseline.Says(setting))
		}
	}
}

// hadPlugins gives the apiserver the plugins that were on before kubecomm, and those that are on now; "" for no flag.
func hadPlugins(before, now string) func(*Observation) {
	return func(o *Observation) {
		server, on := o.Nodes[0].APIServer, "enable-admission-plugins"
		server.Baseline[on] = []string{before}
		if now != "" {
			server.Running[on], server.Manifest[on] = []string{now}, []string{now}
		}
	}
}

func TestARestoreTakesTheFlagBackBeforeTheCertificates(t *testing.T) {
	var kinds []Kind
	var nodes []string
	for _, step := range PlanRestore(hardened(t)) {
		kinds, nodes = append(kinds, step.Kind), append(nodes, step.Node)
	}
	require.Equal(t, []Kind{ReplaceAPIServer, RestoreServing, RestoreServing, RemoveFiles, RemoveFiles}, kinds)
	require.Equal(t, []string{
		"dev-control-plane", "dev-control-plane", "dev-worker", "dev-control-plane", "dev-worker",
	}, nodes)
}

func TestOnlyAClusterThatWasChangedCountsAsBegun(t *testing.T) {
	require.False(t, stock().Begun())
	require.True(t, hardened(t).Begun())
	require.True(t, hardened(t).AllVerifyKubelets())
	require.False(t, stock().AllVerifyKubelets())
}

func TestTheBundleIsNamedAfterItsContent(t *testing.T) {
	first, err := pki.NewCA("dev", planTime)
	require.NoError(t, err)
	second, err := pki.NewCA("dev", planTime)
	require.NoError(t, err)
	old, both := pki.EncodeBundle(first.Certificate), pki.EncodeBundle(first.Certificate, second.Certificate)
	require.NotEqual(t, bundleFile(old), bundleFile(both))
	require.True(t, ours(bundleFile(old)))
	require.True(t, asNamed(bundleFile(old), old))
	require.False(t, asNamed(bundleFile(old), both))
	require.False(t, ours("/etc/kubernetes/pki/ca.crt"))
}

func TestEveryKindSaysHowItWorksIsVerifiedAndUndone(t *testing.T) {
	for kind := range kinds {
		require.NotEmpty(t, kind.Effect(), kind)
		require.NotEmpty(t, kind.Verified(), kind)
		require.NotEmpty(t, kind.Phases(), kind)
		require.Equal(t, kind == RemoveFiles, kind.Undone() == "", kind)
	}
	require.Len(t, ReplaceAPIServer.Phases(), 10)
}

func TestAJournalTellsWhatWasUnderWay(t *testing.T) {
	const start = `{"operation":"an apply by process 1 on a, since b","steps":["node x: s1","node y: s2"]}`
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"nothing can be read":         {[]string{`{"ope`}, "an apply whose journal can't be read, before its first step"},
		"it ended before a step":      {[]string{start}, "an apply by process 1 on a, since b, before its first step"},
		"a step that is not there":    {[]string{start, `{"step":3,"phase":"p"}`}, "an apply by process 1 on a, since b, before its first step"},
		"the last line was cut short": {[]string{start, `{"step":2,"phase":"q"}`, `{"step":1,"ph`}, `an apply by process 1 on a, since b, at "node y: s2", phase "q"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, parseJournal(test.lines).String()) })
	}
	require.Nil(t, parseJournal(nil))
}
