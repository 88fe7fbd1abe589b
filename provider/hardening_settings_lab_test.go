package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

func manifestOf(component settings.Component) string {
	return "/etc/kubernetes/manifests/" + string(component) + ".yaml"
}

// configuration is what is written on the nodes, and what those get that join later.
func (l hardeningLab) configuration() string {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	var text strings.Builder
	for _, node := range opened.Nodes() {
		paths := []string{kubelet.ConfigFile}
		for _, component := range settings.Components() {
			if node.Role() == cluster.ControlPlane {
				paths = append(paths, manifestOf(component))
			}
		}
		for _, path := range paths {
			file, err := node.ReadFile(l.t.Context(), path)
			require.NoError(l.t, err)
			fmt.Fprintf(&text, "%s on %s:\n%s\n", path, node.Name(), file.Data)
		}
	}
	return text.String() + l.joins()
}

// checkConfiguration compares with what was written at a time.
func (l hardeningLab) checkConfiguration(then *string) func(*terraform.State) error {
	return func(*terraform.State) error {
		if now := l.configuration(); now != *then {
			return fmt.Errorf("before, there was\n%s\nand now there is\n%s", *then, now)
		}
		return nil
	}
}

// hasSettings looks at the processes, and at what nodes get that join later.
func (l hardeningLab) hasSettings(pick func(trial) settings.Value) {
	l.eventually("every process to run with the settings, and kubeadm to give them", func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		for _, setting := range tried() {
			want := pick(trials[setting.Name])
			if want == nil {
				continue
			}
			if found := joinsWith(setting, observed.Joins); !setting.Same(found, want) {
				return fmt.Errorf("a node that joins would have %v of %s, not %v", found, setting.Name, want)
			}
			for _, node := range observed.Nodes {
				if found, runs := runsWith(setting, node); runs && !setting.Same(found, want) {
					return fmt.Errorf("on node %s, %s is %v, not %v", node.Name, setting.Name, found, want)
				}
			}
		}
		return nil
	})
}

// runsWith reads a setting from a node's process; false if the node has no such process.
func runsWith(setting settings.Setting, node apply.NodeObservation) (settings.Value, bool) {
	if setting.Field != "" {
		return setting.FromField(node.Kubelet.Running.Value(setting.Field)), true
	}
	flags, runs := runningFlags(setting.Component, node)
	return setting.FromFlag(flags[setting.Flag]), runs
}

func runningFlags(component settings.Component, node apply.NodeObservation) (controlplane.Flags, bool) {
	switch {
	case node.APIServer == nil:
		return nil, false
	case component == settings.APIServer:
		return node.APIServer.Running, true
	}
	return node.Others[component].Running, true
}

// changeByHand edits the files of every node as an administrator would, and has them taken up.
func (l hardeningLab) changeByHand(pick func(trial) settings.Value) {
	all := declaredBy(pick)
	fields := kubelet.Fields{}
	for name, value := range all.KubeletFields {
		var err error
		fields[name], err = json.Marshal(value)
		require.NoError(l.t, err)
	}
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	for i, node := range opened.Nodes() {
		for component, flags := range all.Flags {
			if node.Role() != cluster.ControlPlane {
				break
			}
			l.rewrite(node, manifestOf(component), func(file []byte) ([]byte, error) {
				return controlplane.Rebase(file, file, string(component), slices.Collect(maps.Keys(flags)), flags)
			})
			l.on(i, fmt.Sprintf(stopContainer, component))
		}
		l.rewrite(node, kubelet.ConfigFile, func(file []byte) ([]byte, error) {
			return kubelet.Rebase(file, file, slices.Collect(maps.Keys(fields)), fields)
		})
		l.on(i, "systemctl restart kubelet")
	}
	l.eventually("every process to run with what was done by hand", func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		for _, node := range observed.Nodes {
			if node.Kubelet.Stale {
				return fmt.Errorf("the kubelet of node %s hasn't restarted", node.Name)
			}
			for component, flags := range all.Flags {
				running, runs := runningFlags(component, node)
				for name, values := range flags {
					if runs && !slices.Equal(running[name], values) {
						return fmt.Errorf("%s runs with --%s=%v, not %v", component, name, running[name], values)
					}
				}
			}
		}
		return nil
	})
	l.waitReady()
}

func (l hardeningLab) rewrite(node *cluster.Node, path string, change func([]byte) ([]byte, error)) {
	file, err := node.ReadFile(l.t.Context(), path)
	require.NoError(l.t, err)
	file.Data, err = change(file.Data)
	require.NoError(l.t, err)
	require.NoError(l.t, node.WriteFile(l.t.Context(), path, file))
}

// waitReady waits until the nodes and the API are ready, which an apply relies on. The API may go on to say of nodes that
// they are ready when it has just begun to work itself.
func (l hardeningLab) waitReady() {
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Minute)
	defer cancel()
	opened, err := cluster.NewEngine().Open(ctx, l.name)
	require.NoError(l.t, err)
	require.NoError(l.t, opened.WaitReady(ctx))
	config, err := opened.RESTConfig(ctx)
	require.NoError(l.t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(l.t, err)
	options := wait.Options{Limit: 3 * time.Minute, Every: time.Second}
	require.NoError(l.t, wait.Until(ctx, "the API to be ready", options, func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}))
}
