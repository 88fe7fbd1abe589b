package provider_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The ConfigMaps by which kubeadm sets up nodes that join, with their keys.
var joinTexts = []struct{ configMap, key string }{
	{"kubeadm-config", "ClusterConfiguration"}, {"kubelet-config", "kubelet"},
}

func (l hardeningLab) configMaps() corev1client.ConfigMapInterface {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	config, err := opened.RESTConfig(l.t.Context())
	require.NoError(l.t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(l.t, err)
	return client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
}

// joins is what kubeadm's ConfigMaps hold, and whether kubecomm keeps what they held before.
func (l hardeningLab) joins() string {
	var text strings.Builder
	for _, part := range joinTexts {
		found, err := l.configMaps().Get(l.t.Context(), part.configMap, metav1.GetOptions{})
		require.NoError(l.t, err)
		require.Contains(l.t, found.Data, part.key)
		fmt.Fprintf(&text, "ConfigMap %s:\n%s\n", part.configMap, found.Data[part.key])
	}
	_, err := l.configMaps().Get(l.t.Context(), "kubecomm-baseline", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(l.t, err)
		text.WriteString("ConfigMap kubecomm-baseline\n")
	}
	return text.String()
}

// changeJoinsByHand edits the ConfigMaps as an administrator would.
func (l hardeningLab) changeJoinsByHand(pick func(trial) settings.Value) {
	all := declaredBy(pick)
	flags, names := map[string]controlplane.Flags{}, map[string][]string{}
	for component, values := range all.Flags {
		flags[string(component)], names[string(component)] = values, slices.Collect(maps.Keys(values))
	}
	fields := kubelet.Fields{}
	for name, value := range all.KubeletFields {
		var err error
		fields[name], err = json.Marshal(value)
		require.NoError(l.t, err)
	}
	for _, part := range joinTexts {
		found, err := l.configMaps().Get(l.t.Context(), part.configMap, metav1.GetOptions{})
		require.NoError(l.t, err)
		text := []byte(found.Data[part.key])
		if part.key == "kubelet" {
			text, err = kubelet.Rebase(text, text, slices.Collect(maps.Keys(fields)), fields)
		} else {
			text, err = controlplane.RebaseClusterConfiguration(text, text, names, flags)
		}
		require.NoError(l.t, err)
		found.Data[part.key] = string(text)
		_, err = l.configMaps().Update(l.t.Context(), found, metav1.UpdateOptions{})
		require.NoError(l.t, err)
	}
}

func declaredBy(pick func(trial) settings.Value) settings.Settings {
	var all settings.Settings
	for _, setting := range tried() {
		if value := pick(trials[setting.Name]); value != nil {
			all.Declare(setting, value)
		}
	}
	return all
}

// joinsWith reads a setting from what kubeadm gives nodes that join.
func joinsWith(setting settings.Setting, joins apply.JoinsObservation) settings.Value {
	if setting.Field != "" {
		return setting.FromField(joins.Kubelet.Value(setting.Field))
	}
	return setting.FromFlag(joins.Cluster.Flags(string(setting.Component))[setting.Flag])
}

// rejoinWorker makes a new machine of the worker and lets it join as kubeadm's documentation has it.
func (l hardeningLab) rejoinWorker() {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	controlPlane, worker := opened.Nodes()[0], opened.Nodes()[1]
	run := func(node *cluster.Node, script string) string {
		output, err := node.Run(l.t.Context(), cluster.Command{Args: []string{"sh", "-ec", script}})
		require.NoError(l.t, err)
		return strings.TrimSpace(string(output))
	}
	run(worker, `kubeadm reset --force && rm -rf /etc/kubernetes/kubecomm`)
	run(controlPlane, `kubectl --kubeconfig /etc/kubernetes/admin.conf delete node `+worker.Name())
	join := run(controlPlane, `kubeadm token create --print-join-command`)
	run(worker, join+` --ignore-preflight-errors=all`)
	l.waitReady()
}

// workerLacks returns the kubelet settings that the worker does not run with.
func (l hardeningLab) workerLacks(pick func(trial) settings.Value) []string {
	var names []string
	l.eventually("the worker's kubelet to say what it runs with", func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		names = nil
		for _, setting := range tried() {
			want := pick(trials[setting.Name])
			if found, runs := runsWith(setting, observed.Nodes[1]); runs && want != nil && !setting.Same(found, want) {
				names = append(names, setting.Name)
			}
		}
		return observed.Nodes[1].Kubelet.Problem
	})
	return names
}

// manifestsScript has kubeadm make the manifests of a control plane from a ClusterConfiguration, where nothing runs them. It
// needs a control plane's files.
const manifestsScript = `cat >/run/joins.yaml
trap 'rm -rf /run/joins.yaml /etc/kubernetes/tmp' EXIT
for phase in 'control-plane all' 'etcd local'; do
  kubeadm init phase $phase --dry-run --config /run/joins.yaml >/dev/null
done
cat /etc/kubernetes/tmp/kubeadm-init-dryrun*/"$1.yaml"`

// controlPlaneLacks returns the settings of components that a control plane would not run with that joins now.
func (l hardeningLab) controlPlaneLacks(pick func(trial) settings.Value) []string {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	kept, err := l.configMaps().Get(l.t.Context(), "kubeadm-config", metav1.GetOptions{})
	require.NoError(l.t, err)
	made := map[settings.Component]controlplane.Flags{}
	for _, component := range settings.Components() {
		output, err := opened.Nodes()[0].Run(l.t.Context(), cluster.Command{
			Args:  []string{"sh", "-ec", manifestsScript, "sh", string(component)},
			Stdin: strings.NewReader(kept.Data["ClusterConfiguration"]),
		})
		require.NoError(l.t, err)
		manifest, err := controlplane.ParseManifest(output, string(component))
		require.NoError(l.t, err)
		made[component] = manifest.Flags()
	}
	var names []string
	for _, setting := range tried() {
		want := pick(trials[setting.Name])
		if setting.Flag != "" && want != nil && !setting.Same(setting.FromFlag(made[setting.Component][setting.Flag]), want) {
			names = append(names, setting.Name)
		}
	}
	return names
}
