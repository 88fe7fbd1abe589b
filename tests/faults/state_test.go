package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// files are, by node, the permissions, owner and digest of every file that was there before kubecomm and that it changes. Of
// control planes, also what ConfigMaps hold, and who is bound to a ClusterRole.
type files map[string]string

const filesScript = `for file in /etc/kubernetes/manifests/*.yaml /var/lib/kubelet/config.yaml \
  /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key /etc/kubernetes/pki/apiserver-kubelet-client.*; do
  [ ! -e "$file" ] || echo "$(stat --format '%n %a %U %G' -- "$file") $(sha256sum <"$file")"
done
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system \
  get configmaps kubeadm-config kubelet-config kubecomm-baseline --ignore-not-found \
  --output jsonpath='{range .items[*]}{.metadata.name}: {.data}{"\n"}{end}'
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf get clusterrolebindings \
  --output jsonpath='{range .items[*]}{.metadata.name}: {.roleRef.name} {.subjects}{"\n"}{end}'`

func (s *suite) readFiles(ctx context.Context, t *testing.T) files {
	t.Helper()
	found := files{}
	for _, node := range s.cluster.Nodes() {
		found[node.Name()] = run(ctx, t, node, filesScript)
	}
	require.Contains(t, found[s.controlPlane().Name()], "/etc/kubernetes/manifests/kube-apiserver.yaml")
	require.Contains(t, found[s.controlPlane().Name()], "kubeadm-config: ")
	require.Contains(t, found[s.worker().Name()], "/var/lib/kubelet/config.yaml")
	return found
}

// guardScript finds the admission policy that a swap has, and its binding: left behind, they would have the apiserver refuse
// what it does itself when it ends. Where nobody can be asked, that counts as found.
const guardScript = `[ ! -e /etc/kubernetes/admin.conf ] || {
  kubectl --kubeconfig /etc/kubernetes/admin.conf get --output name \
    validatingadmissionpolicies,validatingadmissionpolicybindings || echo 'whether kubecomm left a policy: not known'
} | grep kubecomm
`

// The guard, as guardScript tells of it.
const (
	guard        = "validatingadmissionpolicy.admissionregistration.k8s.io/kubecomm-swap-keeps-kubernetes-endpoints\n"
	guardBinding = "validatingadmissionpolicybinding.admissionregistration.k8s.io/kubecomm-swap-keeps-kubernetes-endpoints\n"
)

// tracesScript finds what only kubecomm makes.
const tracesScript = guardScript + `find /etc/kubernetes -path '*kubecomm*'
find /var/lib/kubelet -maxdepth 2 '(' -name '*kubecomm*' -o -name 'kubelet-server-*' ')'
find /etc/systemd/system /opt /var/lib/private -name 'kubecomm-approver*' -o -path /opt/kubecomm
systemctl list-units --all --no-legend 'kubecomm-approver*'
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf get --all-namespaces --output name \
  serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings | grep approver | grep kubecomm
find /run -maxdepth 1 -name kubecomm.lock
nft list tables | grep kubecomm
crictl --timeout 30s ps --name kube-apiserver-next | tail -n +2`

// deadScript finds trials that have ended, which the kubelet removes once a minute.
const deadScript = `crictl --timeout 30s ps --all --name kube-apiserver-next | tail -n +2`

// requireStock sees that the cluster is as it was created.
func (s *suite) requireStock(ctx context.Context, t *testing.T) {
	t.Helper()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	s.requireNothing(ctx, t, tracesScript)
}

// trialScript finds what is there during a swap alone.
const trialScript = guardScript + `find /etc/kubernetes/manifests /etc/kubernetes/kubecomm -name "*next*" -o -name swap \
  -o -name undo -o -name journal 2>/dev/null
find /run -maxdepth 1 -name kubecomm.lock
nft list tables | grep kubecomm
crictl --timeout 30s ps --name kube-apiserver-next | tail -n +2`

// requireNothing waits until a script that looks for traces finds none on any node.
func (s *suite) requireNothing(ctx context.Context, t *testing.T, script string) {
	t.Helper()
	for _, node := range s.cluster.Nodes() {
		what := "every trace to be gone from node " + node.Name()
		require.NoError(t, wait.Until(ctx, what, wait.Options{Limit: 2 * time.Minute}, func(ctx context.Context) error {
			found, err := output(ctx, node, script+"; true")
			if err == nil && found != "" {
				err = fmt.Errorf("found %s", found)
			}
			return err
		}))
	}
}

// requireTraces proves that requireStock can fail.
func (s *suite) requireTraces(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, node := range s.cluster.Nodes() {
		assert.Contains(t, run(ctx, t, node, tracesScript+"; true"), "/etc/kubernetes/kubecomm\n", node.Name())
	}
}

// requireSwap proves, in the middle of a swap, that requireNothing can fail.
func (s *suite) requireSwap(ctx context.Context, t *testing.T, node *cluster.Node) {
	t.Helper()
	for _, script := range []string{tracesScript, trialScript} {
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
