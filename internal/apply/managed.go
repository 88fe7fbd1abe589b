package apply

import (
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Value returns how a setting that becomes a flag or a field stands: what the first node has that isn't as it should
// be, or else what is held. Where nothing is held, a node should have what it had before kubecomm, which for a node
// that kubecomm never changed is whatever it has. Each difference that it finds has a step in a plan.
func (o Observation) Value(setting settings.Setting, held settings.Value) settings.Value {
	for _, node := range o.Nodes {
		found, differs := node.differing(setting, held)
		if differs {
			return found
		}
	}
	return held
}

// differing returns what a node has in place of what it should have, if that isn't the same.
func (n NodeObservation) differing(setting settings.Setting, held settings.Value) (settings.Value, bool) {
	switch {
	case setting.Field != "":
		return n.Kubelet.differing(setting, held)
	case n.APIServer != nil:
		return n.APIServer.differing(setting, held)
	}
	return nil, false
}

func (a *APIServerObservation) differing(setting settings.Setting, held settings.Value) (settings.Value, bool) {
	should := held
	if held == nil {
		if a.Baseline == nil {
			return nil, false
		}
		should = setting.FromFlag(a.Baseline[setting.Flag])
	}
	for _, values := range [][]string{a.Running[setting.Flag], a.Manifest[setting.Flag]} {
		if found := setting.FromFlag(values); !slices.Equal(found, should) {
			return found, true
		}
	}
	return nil, false
}

func (k KubeletObservation) differing(setting settings.Setting, held settings.Value) (settings.Value, bool) {
	should := held
	if held == nil {
		if k.Baseline == nil {
			return nil, false
		}
		should = setting.FromField(k.Baseline[setting.Field])
	}
	running, written := setting.FromField(k.Running[setting.Field]), setting.FromField(k.File[setting.Field])
	switch {
	case should != nil && k.Running != nil && !slices.Equal(running, should):
		return running, true
	case slices.Equal(written, should):
		return nil, false
	case should == nil && running != nil:
		return running, true
	}
	return written, true
}
