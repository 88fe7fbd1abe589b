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

// takenUpScript asks the process for its flag, and for its readiness by an address that no other apiserver has.
const takenUpScript = `pid=$(pgrep --oldest --exact kube-apiserver) || { echo "no apiserver runs" >&2; exit 1; }
tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxe "--$1=$2" || { echo "the old apiserver runs" >&2; exit 1; }
kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 get --raw /readyz`

// changeByHand edits the manifest of the first control plane, and returns when clients are well again.
func changeByHand(ctx context.Context, b *bed, places []place) (change, error) {
	node := b.cluster.ControlPlanes()[0]
	made := change{title: "the manifest is edited by hand on " + node.Name(), window: steady.Window{From: time.Now()}}
	args := []string{"sh", "-c", editScript, "sh", manifestFile, changedFlag, byHandValue}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return change{}, fmt.Errorf("editing the manifest: %w", err)
	}
	made.marks = append(made.marks, mark{time.Now(), "the manifest was renamed into place"})
	options := wait.Options{Limit: settleLimit, Every: time.Second}
	err := wait.Until(ctx, "the edited manifest to be taken up", options, func(ctx context.Context) error {
		args := []string{"sh", "-c", takenUpScript, "sh", changedFlag, byHandValue}
		_, err := node.Run(ctx, cluster.Command{Args: args})
		return err
	})
	if err != nil {
		return change{}, err
	}
	made.took = time.Since(made.window.From)
	made.marks = append(made.marks, mark{time.Now(), "the new kube-apiserver was found ready"})
	err = settle(ctx, places, time.Now())
	made.window.To = time.Now()
	return made, err
}
