package kubelet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	goyaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Fields are top-level fields of a kubelet's configuration, by name, as JSON: what a file says and what a running
// kubelet says can be compared.
type Fields map[string]json.RawMessage

// Equal reports whether a field has the same value in both, or is in neither.
func (f Fields) Equal(other Fields, name string) bool {
	return bytes.Equal(compact(f[name]), compact(other[name]))
}

func compact(value json.RawMessage) []byte {
	var buffer bytes.Buffer
	if json.Compact(&buffer, value) != nil {
		return value
	}
	return buffer.Bytes()
}

// ParseFields reads a kubelet's configuration file.
func ParseFields(config []byte) (Fields, error) {
	fields := Fields{}
	if err := yaml.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("the kubelet's configuration is not valid YAML: %w", err)
	}
	return fields, nil
}

// ParseConfigz reads what a kubelet answers at /configz: every field that it runs with, defaults included.
func ParseConfigz(answer []byte) (Fields, error) {
	var wrapped struct {
		Config Fields `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(answer, &wrapped); err != nil {
		return nil, fmt.Errorf("the kubelet's answer at /configz: %w", err)
	}
	if wrapped.Config == nil {
		return nil, errors.New("the kubelet's answer at /configz holds no kubeletconfig")
	}
	return wrapped.Config, nil
}

// Rebase returns the configuration file in which exactly the wanted managed fields are given. Like
// controlplane.Rebase, it goes back to the original's bytes where nothing else was changed since.
func Rebase(original, current []byte, managed []string, want Fields) ([]byte, error) {
	is, err := ParseFields(current)
	if err != nil {
		return nil, err
	}
	rebuilt, err := give(original, managed, is)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(rebuilt, current) {
		return give(original, managed, want)
	}
	return give(current, managed, want)
}

// give gives the managed fields of a file the wanted values, in the order of their names.
func give(file []byte, managed []string, want Fields) ([]byte, error) {
	has, err := ParseFields(file)
	if err != nil {
		return nil, err
	}
	var document goyaml.Node
	if err := goyaml.Unmarshal(file, &document); err != nil {
		return nil, fmt.Errorf("the kubelet's configuration is not valid YAML: %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != goyaml.MappingNode {
		return nil, errors.New("the kubelet's configuration is no YAML mapping")
	}
	changed := false
	for _, name := range slices.Sorted(slices.Values(managed)) {
		if has.Equal(want, name) {
			continue
		}
		changed = true
		if err := setField(document.Content[0], name, want[name]); err != nil {
			return nil, err
		}
	}
	if !changed {
		return file, nil
	}
	var buffer bytes.Buffer
	encoder := goyaml.NewEncoder(&buffer)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	return buffer.Bytes(), nil
}

// setField replaces a field where it stands, appends it, or with no value removes it.
func setField(mapping *goyaml.Node, name string, value json.RawMessage) error {
	at := len(mapping.Content)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			at = i
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			break
		}
	}
	if value == nil {
		return nil
	}
	// Decoded first, because JSON read as YAML would be written back in its own style.
	var decoded any
	if err := json.Unmarshal(value, &decoded); err != nil {
		return fmt.Errorf("the value of %s: %w", name, err)
	}
	key, content := &goyaml.Node{}, &goyaml.Node{}
	if err := errors.Join(key.Encode(name), content.Encode(decoded)); err != nil {
		return fmt.Errorf("the value of %s: %w", name, err)
	}
	mapping.Content = slices.Insert(mapping.Content, at, key, content)
	return nil
}
