// Package tunnel proves on a live cluster that apiservers reach kubelets, pods, services, webhooks and aggregated APIs
// through a tunnel, and by no other way: nodes drop what apiservers begin by themselves. Without the tunnel, all of it fails.
package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// The images that nodes, pods and the tunnel are made of. Without the first, nothing here can run.
const (
	nodeImageVariable    = "KUBECOMM_NODE_IMAGE"
	agnhostImageVariable = "KUBECOMM_AGNHOST_IMAGE"
	serverImageVariable  = "KUBECOMM_KONNECTIVITY_SERVER_IMAGE"
	agentImageVariable   = "KUBECOMM_KONNECTIVITY_AGENT_IMAGE"
)

// nameVariable is for who needs to know what the cluster is called.
const nameVariable = "KUBECOMM_TUNNEL_CLUSTER"

const (
	createLimit = 5 * time.Minute
	deleteLimit = 2 * time.Minute
	applyLimit  = 8 * time.Minute
)

// variant is what a cluster is like.
type variant struct {
	name          string
	controlPlanes int
	ipFamily      string // kind's default if empty
	// counts is how agents know how many servers there are.
	counts konnectivity.ServerCount
}

// lab is a cluster with one worker, and a pod on each node.
type lab struct {
	variant variant
	asked   *cluster.Node // the control plane whose apiserver is asked
	engine  *cluster.Engine
	cluster *cluster.Cluster
	config  *rest.Config
	client  *kubernetes.Clientset
	pods    []workload.Pod
	backend backend
	archive string // of the tunnel's images
	// kind is that of the tunnel that there is or is to be, and ssh how an SSH tunnel is declared.
	kind kind
	ssh  settings.SSHOptions
	// workerPods are the ranges that pods of the worker have addresses of.
	workerPods []netip.Prefix
}

func newLab(ctx context.Context, t *testing.T, v variant) *lab {
	t.Helper()
	for _, variable := range []string{nodeImageVariable, agnhostImageVariable, serverImageVariable, agentImageVariable} {
		if os.Getenv(variable) == "" {
			t.Skipf("%s is not set; make e2e sets it and runs this on a kind cluster of its own", variable)
		}
	}
	l := &lab{variant: v, engine: cluster.NewEngine(), archive: filepath.Join(t.TempDir(), "konnectivity.tar")}
	l.saveImages(ctx, t)
	name := "kubecomm-e2e-tunnel-" + strings.ToLower(rand.Text()[:6])
	if fixed := os.Getenv(nameVariable); fixed != "" {
		name = fixed
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
		defer cancel()
		require.NoError(t, l.engine.Delete(ctx, name, ""))
	})
	limited, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	var err error
	l.cluster, err = l.engine.Create(limited, cluster.Spec{
		Name: name, NodeImage: os.Getenv(nodeImageVariable),
		Nodes: append(slices.Repeat([]cluster.NodeSpec{{Role: cluster.ControlPlane}}, v.controlPlanes),
			cluster.NodeSpec{Role: cluster.Worker}),
		Networking: cluster.Networking{IPFamily: v.ipFamily},
	}, cluster.CreateOptions{WaitForReady: true})
	if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
		t.Log(strings.Join(failure.Evidence, "\n"))
	}
	require.NoError(t, err)
	l.asked = l.cluster.ControlPlanes()[0]
	l.config, err = l.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	l.client, err = kubernetes.NewForConfig(l.config)
	require.NoError(t, err)
	var names []string
	for _, node := range l.cluster.Nodes() {
		names = append(names, node.Name())
	}
	l.pods, err = workload.Deploy(ctx, l.config, workload.Deployment{Image: os.Getenv(agnhostImageVariable), Nodes: names})
	require.NoError(t, err)
	l.giveCapture(ctx, t)
	l.workerPods, err = l.podCIDRs(ctx, l.worker())
	require.NoError(t, err)
	l.backend, err = deployBackend(ctx, l.config, l.worker().Name(), os.Getenv(agnhostImageVariable))
	require.NoError(t, err)
	return l
}

// saveImages has the engine write the archive from which nodes get the images, as a user without a registry would.
func (l *lab) saveImages(ctx context.Context, t *testing.T) {
	t.Helper()
	output, err := exec.CommandContext(ctx, "docker", "save", "--output", l.archive,
		os.Getenv(serverImageVariable), os.Getenv(agentImageVariable)).CombinedOutput()
	require.NoError(t, err, string(output))
}

func (l *lab) controlPlane() *cluster.Node { return l.asked }

func (l *lab) worker() *cluster.Node { return l.cluster.Nodes()[len(l.cluster.Nodes())-1] }

// declared are the defaults, kubelet verification among them, with a tunnel of a mode.
func (l *lab) declared(mode settings.TunnelMode) settings.Settings {
	want := settings.Of(settings.Effective(settings.Baseline, map[string]settings.Value{settings.NameTunnelMode: {string(mode)}}))
	if mode == settings.Konnectivity {
		want.Tunnel.ImageArchives = []string{l.archive}
		want.Tunnel.Konnectivity.Images.Server = os.Getenv(serverImageVariable)
		want.Tunnel.Konnectivity.Images.Agent = os.Getenv(agentImageVariable)
		want.Tunnel.Konnectivity.ServerCount = l.variant.counts
	}
	if mode == settings.SSH {
		want.Tunnel.SSH = l.ssh
	}
	return want
}

func (l *lab) apply(ctx context.Context, t *testing.T, mode settings.TunnelMode) apply.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	begun := time.Now()
	client, err := steady.Start(ctx, steady.Options{Config: l.config})
	require.NoError(t, err)
	observed, err := apply.Apply(ctx, apply.On(l.cluster), apply.Options{Settings: l.declared(mode), Now: time.Now})
	require.NoError(t, err)
	report := client.Stop()
	t.Logf("tunnel.mode = %q: applied in %s; a client of the API saw: %s", mode, time.Since(begun).Round(time.Second), report)
	assert.Empty(t, report.Failures, "a request to the API failed")
	return observed
}

// observe looks at the cluster as an apply does.
func (l *lab) observe(ctx context.Context, t *testing.T) apply.Observation {
	t.Helper()
	observed, err := apply.Observe(ctx, apply.On(l.cluster), time.Now())
	require.NoError(t, err)
	return observed
}

// podCIDRs are the ranges that a node's pods have addresses of.
func (l *lab) podCIDRs(ctx context.Context, node *cluster.Node) ([]netip.Prefix, error) {
	found, err := l.client.CoreV1().Nodes().Get(ctx, node.Name(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var pods []netip.Prefix
	for _, text := range found.Spec.PodCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("the pods of node %s: %w", node.Name(), err)
		}
		pods = append(pods, prefix)
	}
	return pods, nil
}

// wall is one between control planes and what they reach through the tunnel.
func (l *lab) wall() wall {
	var w wall
	for _, node := range l.cluster.ControlPlanes() {
		others := slices.DeleteFunc(l.cluster.ControlPlanes(), func(other *cluster.Node) bool { return other.Name() == node.Name() })
		w = append(w, barrier{node: node, workers: []*cluster.Node{l.worker()}, others: others, pods: l.workerPods})
	}
	return w
}

func (l *lab) podOn(node *cluster.Node) workload.Pod {
	for _, pod := range l.pods {
		if pod.Node == node.Name() {
			return pod
		}
	}
	panic("no pod on node " + node.Name())
}

// on runs a script on a node.
func (l *lab) on(ctx context.Context, node *cluster.Node, script string, args ...string) error {
	_, err := said(ctx, node, script, args...)
	return err
}

// said runs a script on a node, and returns what it wrote.
func said(ctx context.Context, node *cluster.Node, script string, args ...string) (string, error) {
	output, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-ec", script, "sh"}, args...)})
	return string(output), err
}

// agents are the pods of agents.
func (l *lab) agents(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := l.client.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=konnectivity-agent"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}
