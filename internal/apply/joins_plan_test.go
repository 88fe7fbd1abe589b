package apply

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const (
	stockCluster = "apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  local:\n    dataDir: /var/lib/etcd\n" +
		"kind: ClusterConfiguration\nkubernetesVersion: v1.37.1\nscheduler: {}\n"
	stockKubelet = "kind: KubeletConfiguration\nmaxPods: 110\n"
)

// keeps are a cluster's documents, changed or not.
func keeps(cluster, kubelet keptText) texts {
	return texts{clusterDocument: cluster, kubeletDocument: kubelet}
}

func unchanged(text string) keptText { return keptText{current: text, original: text} }

func changed(original, current string) keptText {
	return keptText{current: current, original: original, saved: true}
}

func observedJoins(t *testing.T, found texts) JoinsObservation {
	t.Helper()
	observed, err := parseDocuments(found)
	require.NoError(t, err)
	return observed
}

// floors is a declaration of which nodes that join later are to get something.
func floors() settings.Settings {
	want := settings.Defaults()
	want.SetFlag(settings.Scheduler, "tls-min-version", "VersionTLS13")
	want.KubeletFields = map[string]any{"tlsMinVersion": "VersionTLS13"}
	return want
}

const (
	hardCluster = "apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  local:\n    dataDir: /var/lib/etcd\n" +
		"kind: ClusterConfiguration\nkubernetesVersion: v1.37.1\nscheduler:\n  extraArgs:\n" +
		"  - name: tls-min-version\n    value: VersionTLS13\n"
	hardKubelet = stockKubelet + "tlsMinVersion: VersionTLS13\n"
	schedulers  = "kube-scheduler would get no --tls-min-version, to be --tls-min-version=VersionTLS13"
	kubelets    = `kubelets would get no tlsMinVersion, to be tlsMinVersion: "VersionTLS13"`
)

func TestNodesThatJoinLaterGetWhatIsDeclaredAndWhatWasThereBeforeOtherwise(t *testing.T) {
	hard := keeps(changed(stockCluster, hardCluster), changed(stockKubelet, hardKubelet))
	nothing := settings.Defaults()
	ourFile := settings.Defaults()
	ourFile.SetFlag(settings.APIServer, "authentication-config", pkiFolder+"/authentication.yaml")
	twice := settings.Defaults()
	twice.SetFlag(settings.APIServer, "service-account-issuer", "https://a", "https://b")
	const mapped = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n"
	const withOwnCA = "apiVersion: kubeadm.k8s.io/v1beta4\napiServer:\n  extraArgs:\n" +
		"  - name: kubelet-certificate-authority\n    value: /etc/kubernetes/pki/own.crt\n"
	tests := map[string]struct {
		found  texts
		want   settings.Settings
		reason string
		result texts // what a write makes of it
	}{
		"a cluster that kubeadm didn't make has nothing to change": {want: floors()},
		"what is declared is written": {
			found: keeps(unchanged(stockCluster), unchanged(stockKubelet)), want: floors(),
			reason: schedulers + ", " + kubelets, result: hard,
		},
		"what is there needs nothing": {found: hard, want: floors(), result: hard},
		"what somebody took away is written again": {
			found: keeps(changed(stockCluster, stockCluster), changed(stockKubelet, hardKubelet)), want: floors(),
			reason: schedulers, result: hard,
		},
		"what is declared no longer goes back, byte for byte": {
			found: hard, want: nothing,
			reason: "kube-scheduler would get --tls-min-version=VersionTLS13, to be no --tls-min-version, " +
				`kubelets would get tlsMinVersion: "VersionTLS13", to be no tlsMinVersion`,
			result: keeps(changed(stockCluster, stockCluster), changed(stockKubelet, stockKubelet)),
		},
		"what kubecomm has no setting for is somebody else's": {
			found: keeps(changed(stockCluster, hardCluster+"featureGates:\n  A: true\n"), changed(stockKubelet, hardKubelet+"podPidsLimit: 5\n")),
			want:  floors(),
		},
		"what was never changed and isn't declared stays as it is": {
			found: keeps(unchanged(hardCluster), unchanged(hardKubelet)), want: nothing,
		},
		"a file of kubecomm's is not named": {
			found: keeps(unchanged(stockCluster), unchanged(stockKubelet)), want: ourFile,
		},
		"nor is the CA for kubelets, and one of the user's own stays": {
			found: keeps(unchanged(withOwnCA), unchanged(stockKubelet)), want: nothing,
		},
		"a flag that is given twice is left out where there is room for one": {
			found: keeps(unchanged(mapped), unchanged(stockKubelet)), want: twice,
		},
		"one of the two ConfigMaps is enough": {
			found: texts{kubeletDocument: unchanged(stockKubelet)}, want: floors(),
			reason: kubelets, result: texts{kubeletDocument: changed(stockKubelet, hardKubelet)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observed := hardened(t)
			observed.Joins = observedJoins(t, test.found)
			require.Equal(t, test.reason, joinsProblem(observed.Joins, test.want))
			last := observed.Nodes[0].Name
			steps := planJoins(observed, test.want)
			if test.reason == "" {
				require.Empty(t, steps)
			} else {
				require.Equal(t, []Step{{ConfigureJoins, last, test.reason}}, steps)
			}
			for document, want := range test.result {
				found := test.found[document]
				got, err := desiredJoins(observed.Joins, test.want).rebase(document, found.original, found.current)
				require.NoError(t, err)
				require.Equal(t, want.current, got)
			}
		})
	}
}

func TestWhatNodesGetThatJoinLaterIsChangedLastAndPutBackFirst(t *testing.T) {
	observed := stock()
	observed.Joins = observedJoins(t, keeps(unchanged(stockCluster), unchanged(stockKubelet)))
	steps := Plan(observed, floors())
	require.Equal(t, Step{ConfigureJoins, "dev-control-plane", schedulers + ", " + kubelets}, steps[len(steps)-1])
	require.Equal(t, 1, count(steps, ConfigureJoins))
	require.Zero(t, count(PlanRestore(observed), ConfigureJoins), "it was never changed")

	observed.Joins = observedJoins(t, keeps(changed(stockCluster, hardCluster), changed(stockKubelet, hardKubelet)))
	require.True(t, observed.Begun())
	require.Equal(t, Step{ConfigureJoins, "dev-control-plane", "destroy"}, PlanRestore(observed)[0])
	require.Zero(t, count(Plan(observed, floors()), ConfigureJoins))

	observed.Joins = JoinsObservation{Problem: errors.New("connection refused")}
	require.Contains(t, describe(planJoins(observed, settings.Defaults())), "can't be read: connection refused")
}

func count(steps []Step, kind Kind) int {
	found := 0
	for _, step := range steps {
		if step.Kind == kind {
			found++
		}
	}
	return found
}

func TestWhatIsUndoneIsThatStepAlone(t *testing.T) {
	before := keeps(changed(stockCluster, stockCluster), changed(stockKubelet, stockKubelet))
	next := desiredJoins(observedJoins(t, before), floors())
	back := next.as(observedJoins(t, before))
	for document, written := range map[document]string{clusterDocument: hardCluster, kubeletDocument: hardKubelet} {
		got, err := back.rebase(document, before[document].current, written)
		require.NoError(t, err)
		require.Equal(t, before[document].current, got)
		got, err = back.rebase(document, before[document].current, written+"somebodyElses: true\n")
		require.NoError(t, err)
		require.Equal(t, before[document].current+"somebodyElses: true\n", got)
	}
}

func TestAConfigMapThatCantBeReadIsNamed(t *testing.T) {
	const bad = "kind: ["
	for name, found := range map[string]texts{
		"ClusterConfiguration of ConfigMap kube-system/kubeadm-config:": {clusterDocument: unchanged(bad)},
		"kubelet of ConfigMap kube-system/kubelet-config:":              {kubeletDocument: unchanged(bad)},
		"the original ClusterConfiguration of ConfigMap kube-system/kubeadm-config, in ConfigMap kube-system/kubecomm-baseline:": {
			clusterDocument: changed(bad, stockCluster),
		},
		"the original kubelet of ConfigMap kube-system/kubelet-config, in ConfigMap kube-system/kubecomm-baseline:": {
			kubeletDocument: changed(bad, stockKubelet),
		},
	} {
		_, err := parseDocuments(found)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "YAML")
	}
}
