// Package stock tells a cluster that is as it was created from one on which kubecomm left something.
package stock

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// Files are, by node, the permissions, owner and digest of every file that was there before kubecomm and that it changes. Of
// control planes, also what ConfigMaps hold, and who is bound to a ClusterRole.
type Files map[string]string

const filesScript = `for file in /etc/kubernetes/manifests/*.yaml /var/lib/kubelet/config.yaml \
  /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key /etc/kubernetes/pki/apiserver-kubelet-client.*; do
  [ ! -e "$file" ] || echo "$(stat --format '%n %a %U %G' -- "$file") $(sha256sum <"$file")"
done
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system \
  get configmaps kubeadm-config kubelet-config kubecomm-baseline --ignore-not-found \
  --output jsonpath='{range .items[*]}{.metadata.name}: {.data}{"\n"}{end}'
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf get clusterrolebindings \
  --output jsonpath='{range .items[*]}{.metadata.name}: {.roleRef.name} {.subjects}{"\n"}{end}'`

// Read reads them of one node.
func Read(ctx context.Context, node *cluster.Node) (string, error) {
	return output(ctx, node, filesScript)
}

// ReadAll reads them of all nodes.
func ReadAll(ctx context.Context, c *cluster.Cluster) (Files, error) {
	found := Files{}
	for _, node := range c.Nodes() {
		text, err := Read(ctx, node)
		if err != nil {
			return nil, err
		}
		found[node.Name()] = text
	}
	return found, nil
}

// GuardScript finds the admission policy that a swap has, and its binding: left behind, they would have the apiserver refuse
// what it does itself when it ends. Where nobody can be asked, that counts as found.
const GuardScript = `[ ! -e /etc/kubernetes/admin.conf ] || {
  kubectl --kubeconfig /etc/kubernetes/admin.conf get --output name \
    validatingadmissionpolicies,validatingadmissionpolicybindings || echo 'whether kubecomm left a policy: not known'
} | grep kubecomm
`

// TracesScript finds what only kubecomm makes.
const TracesScript = GuardScript + `find /etc/kubernetes -path '*kubecomm*'
find /var/lib/kubelet -maxdepth 2 '(' -name '*kubecomm*' -o -name 'kubelet-server-*' ')'
find /etc/systemd/system /opt /var/lib/private -name 'kubecomm-approver*' -o -name 'kubecomm-ssh-*' -o -path /opt/kubecomm
systemctl list-units --all --no-legend 'kubecomm-approver*' 'kubecomm-ssh-*'
[ ! -e /etc/kubernetes/admin.conf ] || kubectl --kubeconfig /etc/kubernetes/admin.conf get --all-namespaces --output name \
  serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,services,validatingwebhookconfigurations |
  grep -E 'approver|ssh-proxy|tunnel-proof' | grep kubecomm
find /run -maxdepth 1 -name kubecomm.lock -o -name kubecomm
nft list tables | grep kubecomm
crictl --timeout 30s ps --name kube-apiserver-next | tail -n +2`

const goneLimit = 2 * time.Minute

// Gone waits until a script that looks for traces finds none on any node.
func Gone(ctx context.Context, c *cluster.Cluster, script string) error {
	for _, node := range c.Nodes() {
		what := "every trace to be gone from node " + node.Name()
		err := wait.Until(ctx, what, wait.Options{Limit: goneLimit}, func(ctx context.Context) error {
			found, err := output(ctx, node, script+"; true")
			if err == nil && found != "" {
				err = fmt.Errorf("found %s", found)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func output(ctx context.Context, node *cluster.Node, script string) (string, error) {
	text, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", script}})
	return string(text), err
}
