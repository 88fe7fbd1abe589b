package kubelet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Fields are fields of a kubelet's configuration, by name, as JSON: what a file says and what a running kubelet says can
// be compared. In a name, dots lead to what is inside of an object.
type Fields map[string]json.RawMessage

// Value returns a field's value, or nil if it isn't given.
func (f Fields) Value(name string) json.RawMessage {
	if value, given := f[name]; given {
		return value
	}
	outer, inner, nested := strings.Cut(name, ".")
	var object Fields
	if !nested || json.Unmarshal(f[outer], &object) != nil {
		return nil
	}
	return object.Value(inner)
}

// Equal reports whether a field has the same value in both, or is in neither.
func (f Fields) Equal(other Fields, name string) bool {
	return bytes.Equal(compact(f.Value(name)), compact(other.Value(name)))
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

// ParseConfigz reads what a kubelet answers at /configz: every field that it runs with, defaults included. It leaves out
// a read-only port of 0, which is none (staging/src/k8s.io/kubelet/config/v1beta1/types.go, v1.37.1); that is filled in.
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
	if _, given := wrapped.Config["readOnlyPort"]; !given {
		wrapped.Config["readOnlyPort"] = json.RawMessage("0")
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
		if err := setField(document.Content[0], name, want.Value(name)); err != nil {
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

// setField replaces a field where it stands, appends it, or with no value removes it, and with it an object that is empty
// then.
func setField(mapping *goyaml.Node, name string, value json.RawMessage) error {
	key, inner, nested := strings.Cut(name, ".")
	at := find(mapping, key)
	switch {
	case value == nil && at < 0:
		return nil
	case nested:
		if at < 0 || mapping.Content[at+1].Kind != goyaml.MappingNode {
			at = put(mapping, at, key, &goyaml.Node{Kind: goyaml.MappingNode})
		}
		object := mapping.Content[at+1]
		if err := setField(object, inner, value); err != nil {
			return err
		}
		if len(object.Content) == 0 {
			mapping.Content = slices.Delete(mapping.Content, at, at+2)
		}
		return nil
	case value == nil:
		mapping.Content = slices.Delete(mapping.Content, at, at+2)
		return nil
	}
	// Decoded first, because JSON read as YAML would be written back in its own style.
	var decoded any
	content := &goyaml.Node{}
	if err := errors.Join(json.Unmarshal(value, &decoded), content.Encode(decoded)); err != nil {
		return fmt.Errorf("the value of %s: %w", name, err)
	}
	put(mapping, at, key, content)
	return nil
}

// find returns where a key of a mapping stands, or -1.
func find(mapping *goyaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// put gives the key at an index a value, or a new key at the end, and returns where it stands.
func put(mapping *goyaml.Node, at int, key string, value *goyaml.Node) int {
	if at < 0 {
		at = len(mapping.Content)
		mapping.Content = append(mapping.Content, &goyaml.Node{Kind: goyaml.ScalarNode, Value: key}, nil)
	}
	mapping.Content[at+1] = value
	return at
}
