package provider_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// hardeningLab is a cluster to be hardened, and ways to break it by hand.
type hardeningLab struct {
	t    *testing.T
	name string
}

func (l hardeningLab) create() {
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Minute)
	defer cancel()
	l.delete()
	l.t.Cleanup(l.delete)
	_, err := cluster.NewEngine().Create(ctx, cluster.Spec{
		Name:      l.name,
		NodeImage: os.Getenv("KUBECOMM_NODE_IMAGE"),
		Nodes:     []cluster.NodeSpec{{Role: cluster.ControlPlane}, {Role: cluster.Worker}},
	}, cluster.CreateOptions{WaitForReady: true})
	if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
		l.t.Log(strings.Join(failure.Evidence, "\n"))
	}
	require.NoError(l.t, err)
}

func (l hardeningLab) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(l.t, cluster.NewEngine().Delete(ctx, l.name, ""))
}

// onControlPlane runs a script there.
func (l hardeningLab) onControlPlane(script string) { l.on(0, script) }

func (l hardeningLab) onWorker(script string) { l.on(1, script) }

func (l hardeningLab) on(node int, script string) {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	_, err = opened.Nodes()[node].Run(l.t.Context(), cluster.Command{Args: []string{"sh", "-ec", script}})
	require.NoError(l.t, err)
}

// eventually waits for a condition on what is observed of the cluster.
func (l hardeningLab) eventually(what string, condition func(apply.Observation, error) error) {
	options := wait.Options{Limit: 2 * time.Minute, Every: time.Second}
	require.NoError(l.t, wait.Until(l.t.Context(), what, options, func(ctx context.Context) error {
		opened, err := cluster.NewEngine().Open(ctx, l.name)
		if err != nil {
			return err
		}
		return condition(apply.Observe(ctx, apply.On(opened), time.Now()))
	}))
}

// stopContainer is a script for a component.
const stopContainer = `id=$(crictl --timeout 30s ps --quiet --name '^%s$'); [ -z "$id" ] || crictl --timeout 30s stop --timeout 2 "$id"`

func (l hardeningLab) stopAPIServer() {
	l.onControlPlane("systemctl stop kubelet\n" + fmt.Sprintf(stopContainer, settings.APIServer))
}

func (l hardeningLab) startAPIServer() {
	l.onControlPlane("systemctl start kubelet")
	l.eventually("the apiserver to run again", func(_ apply.Observation, err error) error { return err })
}

// forgetNodeRestriction has the next apiserver start with another admission plugin than kubeadm's.
func (l hardeningLab) forgetNodeRestriction() {
	l.onControlPlane(`sed 's/--enable-admission-plugins=NodeRestriction$/--enable-admission-plugins=DenyServiceExternalIPs/' \
  /etc/kubernetes/manifests/kube-apiserver.yaml >/etc/kubernetes/edited
mv /etc/kubernetes/edited /etc/kubernetes/manifests/kube-apiserver.yaml
grep -- --enable-admission-plugins=DenyServiceExternalIPs /etc/kubernetes/manifests/kube-apiserver.yaml`)
}

// restrictsNodes sees that the apiserver runs with both.
func (l hardeningLab) restrictsNodes() {
	l.eventually("the apiserver to run with both plugins", func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		if found := observed.Nodes[0].APIServer.Running["enable-admission-plugins"]; !slices.Equal(
			found, []string{"DenyServiceExternalIPs,NodeRestriction"}) {
			return fmt.Errorf("it runs with %v", found)
		}
		return nil
	})
}

// removeFlag edits the manifest as an administrator would, and waits until the apiserver runs without the flag.
func (l hardeningLab) removeFlag() {
	l.onControlPlane(`sed '/--kubelet-certificate-authority=/d' /etc/kubernetes/manifests/kube-apiserver.yaml >/etc/kubernetes/edited
mv /etc/kubernetes/edited /etc/kubernetes/manifests/kube-apiserver.yaml
` + fmt.Sprintf(stopContainer, settings.APIServer))
	l.eventually("the apiserver to run without the flag", func(observed apply.Observation, err error) error {
		if err == nil && observed.Nodes[0].APIServer.Trust.File != "" {
			err = errors.New("it has the flag")
		}
		return err
	})
}

// lowerKubeletFloor lets the worker's kubelet accept older versions of TLS.
func (l hardeningLab) lowerKubeletFloor() {
	l.onWorker(`sed -i 's/^tlsMinVersion: ` + newVersion + `$/tlsMinVersion: ` + oldVersion + `/' /var/lib/kubelet/config.yaml
systemctl restart kubelet`)
	l.eventually("the kubelet to run with the lower floor", func(observed apply.Observation, err error) error {
		if found := string(observed.Nodes[1].Kubelet.Running["tlsMinVersion"]); err == nil && found != `"`+oldVersion+`"` {
			err = fmt.Errorf("it has %q", found)
		}
		return err
	})
}

// editKubelet changes what kubecomm has no setting for, and doesn't restart the kubelet.
func (l hardeningLab) editKubelet() {
	l.onWorker(`echo 'maxPods: 109' >>/var/lib/kubelet/config.yaml`)
	l.eventually("the edit to be seen", func(observed apply.Observation, err error) error {
		if err == nil && !observed.Nodes[1].Kubelet.Stale {
			err = errors.New("the kubelet seems to run with it")
		}
		return err
	})
}

// hasNoFloor looks at the nodes themselves.
func (l hardeningLab) hasNoFloor() {
	l.onControlPlane(`! grep -- tls-min-version /etc/kubernetes/manifests/kube-apiserver.yaml`)
	for node := range 2 {
		l.on(node, `! grep tlsMinVersion /var/lib/kubelet/config.yaml`)
	}
	l.onWorker(`grep 'maxPods: 109' /var/lib/kubelet/config.yaml`)
}
