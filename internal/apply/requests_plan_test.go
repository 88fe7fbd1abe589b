package apply

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func requested() settings.Settings {
	want := settings.Defaults()
	want.ServingSource = settings.CSR
	return want
}

var (
	// sharedSigning is how kubeadm has the controller manager sign.
	sharedSigning = controlplane.Flags{signingCertFlag: {clusterCACert}, signingKeyFlag: {clusterCAKey}}
	// ownSigning is how kubecomm does.
	ownSigning = controlplane.Flags{
		signingCertFlag: {""}, signingKeyFlag: {""},
		servingSignerCertFlag: {issuerCertFile}, servingSignerKeyFlag: {issuerKeyFile},
		"cluster-signing-kubelet-client-cert-file":        {clusterCACert},
		"cluster-signing-kubelet-client-key-file":         {clusterCAKey},
		"cluster-signing-kube-apiserver-client-cert-file": {clusterCACert},
		"cluster-signing-kube-apiserver-client-key-file":  {clusterCAKey},
		"cluster-signing-legacy-unknown-cert-file":        {clusterCACert},
		"cluster-signing-legacy-unknown-key-file":         {clusterCAKey},
	}
)

// notRequesting is a cluster before its kubelets request anything.
func notRequesting(o Observation) Observation {
	o.Nodes[0].Others = map[settings.Component]*ComponentObservation{
		settings.ControllerManager: {Running: sharedSigning, Manifest: sharedSigning},
	}
	o.Nodes[0].Approver = ApproverObservation{Problem: errors.New("it isn't installed")}
	o.ApproverAccess = AccountObservation{Known: true, Problem: "there is no ServiceAccount"}
	for i := range o.Nodes {
		o.Nodes[i].Kubelet = KubeletObservation{File: kubelet.Fields{}, Running: kubelet.Fields{}}
	}
	return o
}

// requesting is the hardened cluster after an apply that had its kubelets request.
func requesting(t *testing.T) Observation {
	t.Helper()
	o := notRequesting(hardened(t))
	*o.Nodes[0].Others[settings.ControllerManager] = ComponentObservation{
		Running: ownSigning, Manifest: ownSigning, Baseline: sharedSigning,
	}
	o.Nodes[0].Approver = ApproverObservation{Present: true, Active: true}
	o.ApproverAccess = AccountObservation{Known: true, Present: true}
	on := kubelet.Fields{kubelet.BootstrapField: json.RawMessage("true")}
	for i := range o.Nodes {
		o.Nodes[i].Serving.Files.Requests = true
		o.Nodes[i].Kubelet = KubeletObservation{File: on, Running: on, Baseline: kubelet.Fields{}}
	}
	return o
}

func TestKubeletsAreToldToRequestOnceWhoApprovesAndWhoSignsAreThere(t *testing.T) {
	none := requested()
	none.ServingSource, none.VerifyKubelets = "", false
	const cp, worker = "dev-control-plane", "dev-worker"
	tests := map[string]struct {
		observed func(t *testing.T) Observation
		change   func(*Observation)
		declare  settings.Settings
		want     []planned
	}{
		"a cluster that is as declared needs nothing": {observed: requesting, declare: requested()},
		"a stock cluster gets all of it, and the flag last": {
			observed: func(*testing.T) Observation { return notRequesting(stock()) }, declare: requested(),
			want: []planned{
				{CreateIssuer, cp, ""},
				{ReplaceControllerManager, cp, "to be --cluster-signing-kubelet-serving-cert-file=" + issuerCertFile},
				{AllowApprover, cp, "there is no ServiceAccount"}, {InstallApprover, cp, "it isn't installed"},
				{ConfigureKubelet, cp, "to be serverTLSBootstrap: true, the CA is new"}, {ConfigureKubelet, worker, ""},
				{ReplaceAPIServer, cp, "the CA is new"},
			},
		},
		"one that had certificates issued keeps its CA, and its apiserver": {
			observed: func(t *testing.T) Observation { return notRequesting(hardened(t)) }, declare: requested(),
			want: []planned{
				{ReplaceControllerManager, cp, ""}, {AllowApprover, cp, ""}, {InstallApprover, cp, ""},
				{ConfigureKubelet, cp, "it is to request"}, {ConfigureKubelet, worker, "it is to request"},
			},
		},
		"back to issued ones, these come first, and who approved goes last": {
			observed: requesting, declare: settings.Defaults(),
			want: []planned{
				{IssueServing, cp, "it has requested"}, {IssueServing, worker, "it has requested"},
				{ConfigureKubelet, cp, "to be no serverTLSBootstrap"}, {ConfigureKubelet, worker, "to be no serverTLSBootstrap"},
				{ReplaceControllerManager, cp, "to be no --cluster-signing-kubelet-serving-cert-file"},
				{RemoveApprover, cp, ""}, {DisallowApprover, cp, ""},
			},
		},
		"where none is declared any more, apiservers stop to insist before kubelets stop to request": {
			observed: requesting, declare: none,
			want: []planned{
				{ReplaceAPIServer, cp, ""}, {ReplaceControllerManager, cp, ""},
				{ConfigureKubelet, cp, ""}, {ConfigureKubelet, worker, ""},
				{RemoveApprover, cp, ""}, {DisallowApprover, cp, ""},
				{RestoreServing, cp, ""}, {RestoreServing, worker, ""},
			},
		},
		"an approver that stopped is installed again": {
			observed: requesting, change: func(o *Observation) { o.Nodes[0].Approver.Problem = errors.New("its unit is failed") },
			declare: requested(), want: []planned{{InstallApprover, cp, "its unit is failed"}},
		},
		"an issuer that is accepted no more takes the approver's token with it": {
			observed: requesting, change: func(o *Observation) {
				issued := controlplane.Flags{issuerFlag: {"https://old", "https://older"}}
				maps.Copy(o.Nodes[0].APIServer.Running, issued)
				maps.Copy(o.Nodes[0].APIServer.Manifest, issued)
			},
			declare: func() settings.Settings {
				want := requested()
				want.SetFlag(settings.APIServer, issuerFlag, "https://new", "https://old")
				return want
			}(),
			want: []planned{
				{ReplaceAPIServer, cp, "--service-account-issuer"},
				{InstallApprover, cp, "its token may be of https://older, which is to be refused"},
			},
		},
		"an issuer that comes besides leaves it as it is": {
			observed: requesting, change: func(o *Observation) {
				issued := controlplane.Flags{issuerFlag: {"https://old"}}
				maps.Copy(o.Nodes[0].APIServer.Running, issued)
				maps.Copy(o.Nodes[0].APIServer.Manifest, issued)
			},
			declare: func() settings.Settings {
				want := requested()
				want.SetFlag(settings.APIServer, issuerFlag, "https://new", "https://old")
				return want
			}(),
			want: []planned{{ReplaceAPIServer, cp, "--service-account-issuer"}},
		},
		"lost rights are given again": {
			observed: requesting, change: func(o *Observation) { o.ApproverAccess.Problem = "there is no Role" },
			declare: requested(), want: []planned{{AllowApprover, cp, "there is no Role"}},
		},
		"rights that nobody could ask for are left alone": {
			observed: requesting, change: func(o *Observation) { o.ApproverAccess = AccountObservation{Problem: "?"} },
			declare: requested(),
		},
		"a kubelet that was told not to request is told again": {
			observed: requesting, change: func(o *Observation) {
				o.Nodes[1].Serving.Files.Requests = false
				o.Nodes[1].Kubelet.File = kubelet.Fields{}
			},
			declare: requested(), want: []planned{{ConfigureKubelet, worker, "it is to request"}},
		},
		"a kubelet whose certificate is refused gets another first one": {
			observed: requesting, change: func(o *Observation) { o.Nodes[1].Serving.Problem = errors.New("x509: stranger") },
			declare: requested(), want: []planned{{ConfigureKubelet, worker, "refused: x509: stranger"}},
		},
		"a kubelet that asked for fewer addresses than the node has is fine": {
			observed: requesting, change: func(o *Observation) {
				o.Nodes[1].Addresses = append(o.Nodes[1].Addresses, o.Nodes[0].Addresses...)
			},
			declare: requested(),
		},
		"a kubelet whose certificate names another's address gets another": {
			observed: requesting, change: func(o *Observation) { o.Nodes[1].Addresses = o.Nodes[0].Addresses },
			declare: requested(), want: []planned{{ConfigureKubelet, worker, "names what the node isn't"}},
		},
		"how long a requested certificate is valid is no matter": {
			observed: requesting, declare: func() settings.Settings {
				want := requested()
				want.ServingValidity = settings.MinServingValidity
				return want
			}(),
		},
		"a controller manager that signs with the cluster's CA again is replaced": {
			observed: requesting, change: func(o *Observation) {
				o.Nodes[0].Others[settings.ControllerManager].Running = sharedSigning
				o.Nodes[0].Others[settings.ControllerManager].Manifest = sharedSigning
			},
			declare: requested(), want: []planned{{ReplaceControllerManager, cp, ""}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observed := test.observed(t)
			if test.change != nil {
				test.change(&observed)
			}
			steps := Plan(observed, test.declare)
			require.Len(t, steps, len(test.want), describe(steps))
			for i, want := range test.want {
				require.Equal(t, want.kind, steps[i].Kind)
				require.Equal(t, want.node, steps[i].Node)
				require.Contains(t, steps[i].Reason, want.reason)
			}
		})
	}
}

func TestADestroyEndsRequestsAfterNobodyInsistsOnWhatTheyGave(t *testing.T) {
	var kinds []Kind
	for _, step := range PlanRestore(requesting(t)) {
		if step.Node == "dev-control-plane" {
			kinds = append(kinds, step.Kind)
		}
	}
	require.Equal(t, []Kind{
		ReplaceControllerManager, ReplaceAPIServer, ConfigureKubelet, RemoveApprover, DisallowApprover, RestoreServing, RemoveFiles,
	}, kinds)
}

func TestEverySignerButOneGoesOnWithTheCAThatItHad(t *testing.T) {
	want := requested()
	flags := func(before controlplane.Flags) controlplane.Flags {
		found := &ComponentObservation{Running: before, Manifest: before}
		return desiredFlags(settings.ControllerManager, found, declaredFlags(want, settings.ControllerManager, nil))
	}
	require.Equal(t, ownSigning, flags(sharedSigning))

	of := func(ca string) controlplane.Flags {
		return controlplane.Flags{signingCertFlag: {ca + ".crt"}, signingKeyFlag: {ca + ".key"}}
	}
	require.Equal(t, []string{"/mine.key"}, flags(of("/mine"))["cluster-signing-legacy-unknown-key-file"])

	split := controlplane.Flags{
		"cluster-signing-kubelet-client-cert-file": {"/clients.crt"}, "cluster-signing-kubelet-client-key-file": {"/clients.key"},
		signingCertFlag: {""}, signingKeyFlag: {""},
	}
	found := flags(split)
	require.Equal(t, []string{"/clients.crt"}, found["cluster-signing-kubelet-client-cert-file"])
	require.Equal(t, []string{issuerCertFile}, found[servingSignerCertFlag])
	require.NotContains(t, found, "cluster-signing-legacy-unknown-cert-file", "a signer without a CA stays one")
}

func TestWhoSignsIsNoneOfKubecommsBusinessWhereKubeletsDoNotRequest(t *testing.T) {
	o := notRequesting(hardened(t))
	o.Nodes[0].Others[settings.ControllerManager] = &ComponentObservation{
		Running: controlplane.Flags{signingCertFlag: {"/other.crt"}}, Manifest: controlplane.Flags{signingCertFlag: {"/other.crt"}},
		Baseline: sharedSigning,
	}
	require.Empty(t, Plan(o, settings.Defaults()))
}

func TestWhereCertificatesComeFromIsReportedAsItDiffers(t *testing.T) {
	mixed := requesting(t)
	mixed.Nodes[1].Serving.Files.Requests = false
	require.Equal(t, settings.CSR, requesting(t).ServingSource(settings.CSR))
	require.Equal(t, settings.DedicatedCA, mixed.ServingSource(settings.CSR))
	require.Equal(t, settings.CSR, mixed.ServingSource(settings.DedicatedCA))
	require.Equal(t, settings.CSR, mixed.ServingSource(""))
	require.Equal(t, settings.Source(""), notRequesting(stock()).ServingSource(settings.CSR))
}

// A control plane that joins has no CA for kubelet serving certificates until the next apply. Until then it must sign none,
// instead of signing with the cluster's.
func TestAControlPlaneThatJoinsLaterSignsForEveryoneButKubeletsUntilItHasTheCA(t *testing.T) {
	found := keeps(unchanged(stockCluster), unchanged(stockKubelet))
	observed := observedJoins(t, found)
	j := desiredJoins(observed, requested())
	name := string(settings.ControllerManager)
	require.NotContains(t, j.flags[name], servingSignerCertFlag)
	require.NotContains(t, j.flags[name], servingSignerKeyFlag)
	for flag, values := range ownSigning {
		if flag != servingSignerCertFlag && flag != servingSignerKeyFlag {
			require.Equal(t, values, j.flags[name][flag], flag)
		}
	}
	require.Contains(t, joinsProblem(observed, requested()),
		"kube-controller-manager would get no --cluster-signing-cert-file, to be --cluster-signing-cert-file=")
	require.Contains(t, joinsProblem(observed, requested()), "kubelets would get no serverTLSBootstrap, to be serverTLSBootstrap: true")

	text, err := j.rebase(clusterDocument, stockCluster, stockCluster)
	require.NoError(t, err)
	node, err := j.rebase(kubeletDocument, stockKubelet, stockKubelet)
	require.NoError(t, err)
	after := observedJoins(t, keeps(changed(stockCluster, text), changed(stockKubelet, node)))
	require.Empty(t, joinsProblem(after, requested()))

	back, err := desiredJoins(after, settings.Settings{}).rebase(clusterDocument, stockCluster, text)
	require.NoError(t, err)
	require.Equal(t, stockCluster, back)
}
