package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func TestAPlanTellsWhatWillRestartAndWhatWillBeReplaced(t *testing.T) {
	const toField = `its configuration has no tlsMinVersion, to be tlsMinVersion: "VersionTLS13"`
	const toFlag = "it runs with no --tls-min-version, to be --tls-min-version=VersionTLS13"
	var diags diag.Diagnostics
	warnSteps(&diags, "dev", apply.Observation{Minor: 37}, []apply.Step{
		{Kind: apply.IssueServing, Node: "dev-worker", Reason: "it serves none"},
		{Kind: apply.ConfigureKubelet, Node: "dev-control-plane", Reason: toField},
		{Kind: apply.ConfigureKubelet, Node: "dev-control-plane2", Reason: toField},
		{Kind: apply.ConfigureKubelet, Node: "dev-worker", Reason: toField},
		{Kind: apply.ReplaceAPIServer, Node: "dev-control-plane", Reason: toFlag},
		{Kind: apply.ReplaceAPIServer, Node: "dev-control-plane2", Reason: toFlag},
	})
	require.Len(t, diags, 1)
	require.Equal(t, diag.SeverityWarning, diags[0].Severity())
	require.Equal(t, "6 steps will be taken on the running cluster dev", diags[0].Summary())
	require.Equal(t, strings.Join([]string{
		"Change the kubelet's configuration: the kubelet restarts, its pods go on.",
		"- step 2, node dev-control-plane: " + toField,
		"- step 3, node dev-control-plane2: " + toField,
		"- step 4, node dev-worker: " + toField,
		"Verified: the kubelet says that it runs with it, and the node is ready. Undone, if a later step fails: the " +
			"kubelet restarts with the previous configuration.",
		"",
		"Replace the kube-apiserver: another kube-apiserver takes its place while a second one serves.",
		"- step 5, node dev-control-plane: " + toFlag,
		"- step 6, node dev-control-plane2: " + toFlag,
		"Verified: it is ready, runs with the declared flags and reaches every kubelet; a trial of it did so before. " +
			"Undone, if a later step fails: it is replaced again, with the previous manifest.",
		"",
		swapNotice,
	}, "\n"), diags[0].Detail())
}

func TestAPlanIsSilentOnWhatNobodyNotices(t *testing.T) {
	for _, kind := range []apply.Kind{apply.CopyIssuer, apply.IssueServing, apply.RestoreServing, apply.RemoveFiles} {
		var diags diag.Diagnostics
		warnSteps(&diags, "dev", apply.Observation{Minor: 37}, []apply.Step{{Kind: kind, Node: "dev-worker", Reason: "any"}})
		require.Empty(t, diags, kind)
	}
	for _, kind := range []apply.Kind{
		apply.ConfigureKubelet, apply.ConfigureJoins, apply.ReplaceControllerManager, apply.ReplaceScheduler,
	} {
		var diags diag.Diagnostics
		warnSteps(&diags, "dev", apply.Observation{Minor: 37}, []apply.Step{{Kind: kind, Node: "dev-worker", Reason: "any"}})
		require.Len(t, diags, 1, kind)
		require.Equal(t, "1 step will be taken on the running cluster dev", diags[0].Summary())
		require.NotContains(t, diags[0].Detail(), swapNotice, "no apiserver is replaced")
		require.NotContains(t, diags[0].Detail(), etcdNotice, "etcd stays")
	}
}

func TestAPlanTellsThatAnOldKubeletRestartsToShowAnotherCertificate(t *testing.T) {
	for minor, told := range map[uint]bool{35: true, 36: false} {
		var diags diag.Diagnostics
		warnSteps(&diags, "dev", apply.Observation{Minor: minor},
			[]apply.Step{{Kind: apply.IssueServing, Node: "dev-worker", Reason: "any"}})
		require.Equal(t, told, len(diags) == 1, minor)
		if told {
			require.Contains(t, diags[0].Detail(), "before Kubernetes 1.36 restarts, its pods go on")
		}
	}
}

func TestAPlanTellsThatNoNodeCanJoinByAToken(t *testing.T) {
	const name = "apiserver.anonymous_paths"
	var diags diag.Diagnostics
	warnJoins(&diags, settings.Effective(settings.Restricted, nil))
	require.Empty(t, diags)
	warnJoins(&diags, map[string]settings.Value{name: {"/livez", "/readyz", "/healthz"}})
	require.Len(t, diags, 1)
	require.Equal(t, name, pathOf(t, diags[0]))
	require.Contains(t, diags[0].Detail(), "/api/v1/namespaces/kube-public/configmaps/cluster-info")
}

func TestAPlanTellsThatTheAPIIsAwayWithTheOnlyEtcd(t *testing.T) {
	var diags diag.Diagnostics
	warnSteps(&diags, "dev", apply.Observation{Minor: 37}, []apply.Step{{Kind: apply.ReplaceEtcd, Node: "dev-control-plane", Reason: "any"}})
	require.Len(t, diags, 1)
	require.Contains(t, diags[0].Detail(), "Replace etcd: another takes its place, and it is away for some seconds.\n"+
		"- step 1, node dev-control-plane: any")
	require.Contains(t, diags[0].Detail(), etcdNotice)
}
