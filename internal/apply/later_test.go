package apply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// A node that joined while the cluster was hardened began with what is declared. It loses that as the others do.
func TestANodeThatJoinedLaterGoesBackToWhatItWouldHaveHadBefore(t *testing.T) {
	hard := kubelet.Fields{"tlsMinVersion": []byte(`"VersionTLS13"`)}
	floor := controlplane.Flags{"tls-min-version": {"VersionTLS13"}}
	observe := func(later ...string) Observation {
		observed := hardened(t)
		observed.Joins = observedJoins(t, keeps(changed(stockCluster, stockCluster), changed(stockKubelet, stockKubelet)))
		observed.Joins.Later = later
		joined := hardened(t).Nodes[0]
		joined.Name = "dev-control-plane2"
		joined.APIServer = &APIServerObservation{
			ComponentObservation: ComponentObservation{Running: floor, Manifest: floor}, IssuerCurrent: true,
		}
		joined.Others = map[settings.Component]*ComponentObservation{settings.Scheduler: {Running: floor, Manifest: floor}}
		observed.Nodes[0].Others = map[settings.Component]*ComponentObservation{settings.Scheduler: {
			Running: controlplane.Flags{}, Manifest: controlplane.Flags{}, // never changed
		}}
		observed.Nodes[1].Kubelet = KubeletObservation{File: hard, Running: hard}
		observed.Nodes = []NodeObservation{observed.Nodes[0], joined, observed.Nodes[1]}
		observed.fillBaselines()
		return observed
	}
	want := settings.Defaults()
	want.VerifyKubelets, want.ServingSource = false, ""

	there := observe()
	require.Zero(t, count(Plan(there, want), ConfigureKubelet), "on a node that was there before, it is the user's own")
	require.Zero(t, count(Plan(there, want), ReplaceScheduler))

	joined := observe("dev-control-plane2", "dev-worker")
	for name, steps := range map[string][]Step{"apply": Plan(joined, want), "restore": PlanRestore(joined)} {
		require.Equal(t, 1, count(steps, ConfigureKubelet), name)
		require.Equal(t, 1, count(steps, ReplaceScheduler), name)
		require.Equal(t, 2, count(steps, ReplaceAPIServer), name)
	}
	require.Contains(t, describe(Plan(joined, want)), `tlsMinVersion: "VersionTLS13", to be no tlsMinVersion`)

	alone := observe("dev-control-plane", "dev-control-plane2")
	require.Nil(t, alone.Nodes[1].Others[settings.Scheduler].Baseline, "what kubeadm sets by itself isn't known")
	require.NotNil(t, alone.Nodes[0].APIServer.Baseline, "it has a baseline of its own")
}
