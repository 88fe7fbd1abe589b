package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Manifest is a static pod's manifest with one container that matters: the component. Everything in it that isn't
// changed is written back as it was read, comments and order included.
type Manifest struct {
	document  yaml.Node
	container *yaml.Node // the component's
	command   *yaml.Node // its argument list
}

// ParseManifest reads a static pod manifest and finds the container of the named component. The arguments may stand
// in `command`, where kubeadm puts them, or in `args`.
func ParseManifest(data []byte, component string) (*Manifest, error) {
	m := &Manifest{}
	if err := yaml.Unmarshal(data, &m.document); err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", component, err)
	}
	if len(m.document.Content) != 1 {
		return nil, fmt.Errorf("the manifest of %s is empty", component)
	}
	containers := child(child(m.document.Content[0], "spec"), "containers")
	if containers == nil || containers.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("the manifest of %s has no spec.containers", component)
	}
	for _, container := range containers.Content {
		if name := child(container, "name"); name == nil || name.Value != component {
			continue
		}
		for _, key := range []string{"args", "command"} {
			if list := child(container, key); list != nil && list.Kind == yaml.SequenceNode && len(list.Content) > 0 {
				m.container, m.command = container, list
				return m, nil
			}
		}
		return nil, fmt.Errorf("the container %s of the manifest has neither command nor args", component)
	}
	return nil, fmt.Errorf("the manifest has no container named %s", component)
}

// Flags returns the flags that the manifest gives the component.
func (m *Manifest) Flags() Flags {
	arguments := make([]string, len(m.command.Content))
	for i, node := range m.command.Content {
		arguments[i] = node.Value
	}
	return parseArguments(arguments)
}

// SetFlag gives a flag the values, in place of any that it had: where the first of them stood, or at the end.
func (m *Manifest) SetFlag(name string, values ...string) {
	at := m.RemoveFlag(name)
	if at < 0 {
		at = len(m.command.Content)
	}
	arguments := make([]*yaml.Node, len(values))
	for i, value := range values {
		arguments[i] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "--" + name + "=" + value}
	}
	m.command.Content = slices.Insert(m.command.Content, at, arguments...)
}

// RemoveFlag takes a flag away and returns the index at which it stood, or -1 if it wasn't there.
func (m *Manifest) RemoveFlag(name string) int {
	at := -1
	kept := make([]*yaml.Node, 0, len(m.command.Content))
	for i := 0; i < len(m.command.Content); i++ {
		argument := m.command.Content[i]
		if argument.Value != "--"+name && !strings.HasPrefix(argument.Value, "--"+name+"=") {
			kept = append(kept, argument)
			continue
		}
		if at < 0 {
			at = len(kept)
		}
		if next := i + 1; argument.Value == "--"+name && next < len(m.command.Content) &&
			!strings.HasPrefix(m.command.Content[next].Value, "-") {
			i = next
		}
	}
	m.command.Content = kept
	return at
}

// Bytes returns the manifest as YAML, indented as kubeadm does it.
func (m *Manifest) Bytes() ([]byte, error) {
	var buffer bytes.Buffer
	encoder := yaml.NewEncoder(&buffer)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := errors.Join(encoder.Encode(&m.document), encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing a manifest: %w", err)
	}
	return buffer.Bytes(), nil
}

func child(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
