package apply

import (
	"slices"
	"strconv"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Value returns how a setting stands: what the first node has that isn't as it should be, or else what is held. Where
// nothing is held, a node should have what is effective, and where that is nothing either, what it had before kubecomm,
// which for a node that kubecomm never changed is whatever it has. Each difference that it finds has a step in a plan.
func (o Observation) Value(setting settings.Setting, held, effective settings.Value) settings.Value {
	should := held
	if held == nil {
		should = effective
	}
	switch setting.Name {
	case settings.NameVerifyKubelets:
		return o.verification(held, should)
	case settings.NameKubeletCAs:
		return o.furtherCAs(setting, held)
	case settings.NameKubeletClient:
		return o.clientIdentity(held, should)
	case settings.NameKubeletClientRole:
		return o.clientRole(held, should)
	case settings.NameTunnelMode:
		return o.tunnelMode(held, should)
	}
	for _, node := range o.Nodes {
		found, differs := node.differing(setting, should)
		if differs {
			return found
		}
	}
	return held
}

// On returns what was observed of some of the nodes only, picked by their names.
func (o Observation) On(picked func(node string) bool) Observation {
	o.Nodes = slices.DeleteFunc(slices.Clone(o.Nodes), func(node NodeObservation) bool { return !picked(node.Name) })
	return o
}

// verification is the value of what no single flag stands for.
func (o Observation) verification(held, should settings.Value) settings.Value {
	found := o.AllVerifyKubelets()
	if should == nil { // as before, unless kubecomm made it otherwise
		found = o.AnyVerifiesKubelets()
	}
	if found == (should.String() == "true") {
		return held
	}
	return settings.Value{strconv.FormatBool(found)}
}

// differing returns what a node has in place of what it should have, if that isn't the same.
func (n NodeObservation) differing(setting settings.Setting, held settings.Value) (settings.Value, bool) {
	if setting.Field != "" {
		return n.Kubelet.differing(setting, held)
	}
	if slices.Contains(settings.KubeletDocumentFields(), setting.Document) {
		return n.Kubelet.differingDocument(setting, held)
	}
	if setting.Document != "" && n.APIServer != nil {
		return n.APIServer.differingDocument(setting, held)
	}
	if component := n.component(setting.Component); component != nil {
		return component.differing(setting, held)
	}
	return nil, false
}

// differingDocument looks into the files that the flag names. A file of kubecomm's has what is declared and nothing else;
// of what was there before, the name is enough.
func (c *ComponentObservation) differingDocument(setting settings.Setting, should settings.Value) (settings.Value, bool) {
	for _, values := range [][]string{c.Running[setting.Document], c.Manifest[setting.Document]} {
		if should == nil && (c.Baseline == nil || slices.Equal(values, c.Baseline[setting.Document])) {
			continue
		}
		var found settings.Value
		if len(values) > 0 {
			if content, there := c.Documents[values[len(values)-1]]; there {
				found = setting.FromDocument(content)
			}
		}
		if !setting.Same(found, should) {
			return found, true
		}
	}
	return nil, false
}

// differingDocument is the same for a kubelet. One that can't be asked is judged by its file alone.
func (k KubeletObservation) differingDocument(setting settings.Setting, should settings.Value) (settings.Value, bool) {
	for _, fields := range []kubelet.Fields{k.Running, k.File} {
		if fields == nil || should == nil && (k.Baseline == nil || fields.Equal(k.Baseline, setting.Document)) {
			continue
		}
		found := setting.FromDocument(k.Documents[fileIn(fields, setting.Document)])
		if !setting.Same(found, should) {
			return found, true
		}
	}
	return nil, false
}

func (c *ComponentObservation) differing(setting settings.Setting, held settings.Value) (settings.Value, bool) {
	if held == nil && c.Baseline == nil {
		return nil, false
	}
	before := c.before()[setting.Flag]
	should := setting.FromFlag(before)
	if held != nil {
		should = setting.Filled(before, held)
	}
	for _, values := range [][]string{c.Running[setting.Flag], c.Manifest[setting.Flag]} {
		if found := setting.FromFlag(values); !setting.Same(found, should) {
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
		should = setting.FromField(k.Baseline.Value(setting.Field))
	} else if k.Running != nil {
		running := setting.FromField(k.Running.Value(setting.Field))
		switch same := setting.Same(running, held); {
		case !same:
			return running, true
		case k.File.Value(setting.Field) == nil:
			return nil, false // see kubeletProblem
		}
	}
	written := setting.FromField(k.File.Value(setting.Field))
	return written, !setting.Same(written, should)
}
