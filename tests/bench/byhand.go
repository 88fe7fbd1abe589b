package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

const manifestFile = "/etc/kubernetes/manifests/kube-apiserver.yaml"

// editScript changes the value of a flag. The rename is what a careful administrator would do: the kubelet takes every
// file in that folder for a pod.
const editScript = `set -e
edited=/etc/kubernetes/kube-apiserver.edited
cp --preserve=mode,ownership -- "$1" "$edited"
sed "s/--$2=.*/--$2=$3/" "$1" >"$edited"
! cmp -s "$1" "$edited"
mv -f -- "$edited" "$1"`

// takenUpScript asks the process for its flag, and for its readiness by an address that no other apiserver has, and a name that
// is in its certificate, whichever family its addresses are of.
const takenUpScript = `pid=$(pgrep --oldest --exact kube-apiserver) || { echo "no apiserver runs" >&2; exit 1; }
tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxe "--$1=$2" || { echo "the old apiserver runs" >&2; exit 1; }
kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://localhost:6443 get --raw /readyz`

// changeByHand edits the manifests of all control planes as an administrator would: the next one when the apiserver of the one
// before is ready. It returns when clients are well again.
func changeByHand(ctx context.Context, b *bed, places []place, value string) (change, error) {
	made := change{
		title:  fmt.Sprintf("every manifest is edited by hand, one after the other, for --%s=%s", changedFlag, value),
		window: steady.Window{From: time.Now()},
	}
	for _, node := range b.cluster.ControlPlanes() {
		args := []string{"sh", "-c", editScript, "sh", manifestFile, changedFlag, value}
		if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
			return change{}, fmt.Errorf("editing the manifest: %w", err)
		}
		made.marks = append(made.marks, mark{time.Now(), node.Name() + ": the manifest was renamed into place"})
		what := "the edited manifest to be taken up on node " + node.Name()
		options := wait.Options{Limit: settleLimit, Every: time.Second}
		err := wait.Until(ctx, what, options, func(ctx context.Context) error {
			args := []string{"sh", "-c", takenUpScript, "sh", changedFlag, value}
			_, err := node.Run(ctx, cluster.Command{Args: args})
			return err
		})
		if err != nil {
			return change{}, err
		}
		made.marks = append(made.marks, mark{time.Now(), node.Name() + ": the new kube-apiserver was found ready"})
	}
	made.took = time.Since(made.window.From)
	err := settle(ctx, places, time.Now())
	made.window.To = time.Now()
	return made, err
}
