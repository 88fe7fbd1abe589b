package faults

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/stock"
)

func (s *suite) readFiles(ctx context.Context, t *testing.T) stock.Files {
	t.Helper()
	found, err := stock.ReadAll(ctx, s.cluster)
	require.NoError(t, err)
	require.Contains(t, found[s.controlPlane().Name()], "/etc/kubernetes/manifests/kube-apiserver.yaml")
	require.Contains(t, found[s.controlPlane().Name()], "kubeadm-config: ")
	require.Contains(t, found[s.worker().Name()], "/var/lib/kubelet/config.yaml")
	return found
}

// The guard, as stock.GuardScript tells of it.
const (
	guard        = "validatingadmissionpolicy.admissionregistration.k8s.io/kubecomm-swap-keeps-kubernetes-endpoints\n"
	guardBinding = "validatingadmissionpolicybinding.admissionregistration.k8s.io/kubecomm-swap-keeps-kubernetes-endpoints\n"
)

// deadScript finds trials that have ended, which the kubelet removes once a minute.
const deadScript = `crictl --timeout 30s ps --all --name kube-apiserver-next | tail -n +2`

// requireStock sees that the cluster is as it was created.
func (s *suite) requireStock(ctx context.Context, t *testing.T) {
	t.Helper()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	s.requireNothing(ctx, t, stock.TracesScript)
}

// trialScript finds what is there during a swap alone.
const trialScript = stock.GuardScript + `find /etc/kubernetes/manifests /etc/kubernetes/kubecomm -name "*next*" -o -name swap \
  -o -name undo -o -name journal 2>/dev/null
find /run -maxdepth 1 -name kubecomm.lock
nft list tables | grep kubecomm
crictl --timeout 30s ps --name kube-apiserver-next | tail -n +2`

// requireNothing waits until a script that looks for traces finds none on any node.
func (s *suite) requireNothing(ctx context.Context, t *testing.T, script string) {
	t.Helper()
	require.NoError(t, stock.Gone(ctx, s.cluster, script))
}

// requireTraces proves that requireStock can fail.
func (s *suite) requireTraces(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, node := range s.cluster.Nodes() {
		assert.Contains(t, run(ctx, t, node, stock.TracesScript+"; true"), "/etc/kubernetes/kubecomm\n", node.Name())
	}
}

// requireSwap proves, in the middle of a swap, that requireNothing can fail.
func (s *suite) requireSwap(ctx context.Context, t *testing.T, node *cluster.Node) {
	t.Helper()
	for _, script := range []string{stock.TracesScript, trialScript} {
		found := run(ctx, t, node, script+"; true")
		for _, trace := range []string{guard, guardBinding, "/run/kubecomm.lock\n"} {
			assert.Contains(t, found, trace)
		}
	}
}

// processes identifies what runs, by node: others after a restart.
func (s *suite) processes(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, node := range s.cluster.Nodes() {
		found["kubelet on "+node.Name()] = run(ctx, t, node,
			`systemctl show --property MainPID --property ExecMainStartTimestampMonotonic kubelet`)
	}
	for _, node := range s.cluster.ControlPlanes() {
		found["kube-apiserver on "+node.Name()] = run(ctx, t, node,
			`id=$(crictl --timeout 30s ps --quiet --name '^kube-apiserver$') && echo "$id" &&
tr '\0' '\n' <"/proc/$(crictl --timeout 30s inspect --output go-template --template '{{.info.pid}}' "$id")/cmdline"`)
	}
	return found
}

// run runs a shell script on a node.
func run(ctx context.Context, t *testing.T, node *cluster.Node, script string, args ...string) string {
	t.Helper()
	text, err := output(ctx, node, script, args...)
	require.NoError(t, err)
	return text
}

func output(ctx context.Context, node *cluster.Node, script string, args ...string) (string, error) {
	command := cluster.Command{Args: append([]string{"sh", "-c", script, "sh"}, args...)}
	text, err := node.Run(ctx, command)
	return string(text), err
}
