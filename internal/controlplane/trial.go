package controlplane

import (
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Trial is a second instance of a component beside the first.
type Trial struct {
	Pod       string // name
	Container string // name
	Port      int    // that its probes ask
	Flags     Flags  // that differ from the component's own
}

// Trial makes the manifest a trial's. It declares no ports: a pod on the host's network that declares one that another
// has can't start there, so the probes name theirs by number. Labels go too, lest a selector take it for the component.
func (m *Manifest) Trial(trial Trial) {
	metadata := child(m.document.Content[0], "metadata")
	setString(metadata, "name", trial.Pod)
	removeKey(metadata, "labels")
	removeKey(metadata, "annotations")

	setString(m.container, "name", trial.Container)
	removeKey(m.container, "ports")
	for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if get := child(child(m.container, probe), "httpGet"); get != nil {
			port := child(get, "port")
			port.Kind, port.Tag, port.Value, port.Style = yaml.ScalarNode, "!!int", strconv.Itoa(trial.Port), 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(trial.Flags)) {
		m.SetFlag(name, trial.Flags[name]...)
	}
}

func setString(mapping *yaml.Node, key, value string) {
	if node := child(mapping, key); node != nil {
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!str", value
	}
}

func removeKey(mapping *yaml.Node, key string) {
	for i := 0; mapping != nil && i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}
