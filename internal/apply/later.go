package apply

import (
	"context"
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// fillBaselines gives nodes that joined later the baselines that they would have had without kubecomm, where they have none
// of their own: kubelets what kubeadm gave before, components what they had on a control plane that was there before. With
// none of those left it isn't known what kubeadm sets by itself, and components stay as they are.
func (o *Observation) fillBaselines() {
	isLater := func(node NodeObservation) bool { return slices.Contains(o.Joins.Later, node.Name) }
	elder := slices.IndexFunc(o.Nodes, func(node NodeObservation) bool { return node.APIServer != nil && !isLater(node) })
	for i := range o.Nodes {
		node := &o.Nodes[i]
		if !isLater(*node) {
			continue
		}
		if node.Kubelet.Baseline == nil {
			node.Kubelet.Baseline = o.Joins.KubeletBaseline
		}
		for _, component := range settings.Components() {
			found := node.component(component)
			if found == nil || found.Baseline != nil || elder < 0 {
				continue
			}
			if before := o.Nodes[elder].component(component); before != nil {
				found.Baseline = before.Baseline
				if found.Baseline == nil {
					found.Baseline = before.Manifest
				}
			}
		}
	}
}

// keepOriginal is keep for a file that was changed before kubecomm first saw it, as those of nodes are that joined later.
func keepOriginal(ctx context.Context, node Node, path string, original cluster.File) error {
	saved := string(baseline) + path
	if err := checkpoint.save(ctx, node, saved, saved+baseline.absent()); err != nil {
		return err
	}
	if err := node.WriteFile(ctx, saved, original); err != nil {
		return err
	}
	return keep(ctx, node, path)
}
