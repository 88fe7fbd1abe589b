package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// ClusterConfiguration is what kubeadm makes the manifests of a control plane from that joins later. Everything in it
// that isn't changed is written back as it was read, comments and order included.
type ClusterConfiguration struct {
	document yaml.Node
	listed   bool // arguments are a list of names and values, and not a mapping
}

// places are where a component's extra arguments stand (Kubernetes v1.37.1, cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go).
var places = map[string][]string{
	"kube-apiserver":          {"apiServer", extraArgs},
	"kube-controller-manager": {"controllerManager", extraArgs},
	"kube-scheduler":          {"scheduler", extraArgs},
	etcd:                      {etcd, "local", extraArgs},
}

const (
	etcd      = "etcd"
	extraArgs = "extraArgs"
)

// mapped are the versions of kubeadm's API whose arguments are a mapping (Kubernetes v1.36.3,
// cmd/kubeadm/app/apis/kubeadm/v1beta3/types.go); the later ones' are a list.
var mapped = []string{"kubeadm.k8s.io/v1beta1", "kubeadm.k8s.io/v1beta2", "kubeadm.k8s.io/v1beta3"}

// ParseClusterConfiguration reads a ClusterConfiguration, in YAML.
func ParseClusterConfiguration(data []byte) (*ClusterConfiguration, error) {
	c := &ClusterConfiguration{}
	if err := yaml.Unmarshal(data, &c.document); err != nil {
		return nil, fmt.Errorf("kubeadm's ClusterConfiguration is not valid YAML: %w", err)
	}
	if len(c.document.Content) != 1 || c.document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("kubeadm's ClusterConfiguration is no YAML mapping")
	}
	version := child(c.document.Content[0], "apiVersion")
	if version == nil {
		return nil, errors.New("kubeadm's ClusterConfiguration has no apiVersion")
	}
	c.listed = !slices.Contains(mapped, version.Value)
	for component, place := range places {
		node := c.document.Content[0]
		for i, key := range place {
			if node = given(node, key); node == nil {
				break
			}
			want := yaml.MappingNode
			if i == len(place)-1 && c.listed {
				want = yaml.SequenceNode
			}
			if node.Kind != want {
				return nil, fmt.Errorf("kubeadm's ClusterConfiguration, which is %s, has in %v for %s what belongs to "+
					"another version", version.Value, place[:i+1], component)
			}
		}
	}
	return c, nil
}

// given is a child that isn't null.
func given(node *yaml.Node, key string) *yaml.Node {
	found := child(node, key)
	if found != nil && found.Tag == "!!null" {
		return nil
	}
	return found
}

// Takes reports whether a component can be given a flag with these values: before v1beta4 an argument has one value, and
// an etcd that kubeadm doesn't run has none.
func (c *ClusterConfiguration) Takes(component string, values []string) bool {
	if component == etcd && given(child(c.document.Content[0], etcd), "external") != nil {
		return false
	}
	return c.listed || len(values) <= 1
}

// Flags are those that a component gets besides, or in place of, kubeadm's own.
func (c *ClusterConfiguration) Flags(component string) Flags {
	node := c.document.Content[0]
	for _, key := range places[component] {
		node = given(node, key)
	}
	flags := Flags{}
	switch {
	case node == nil:
	case c.listed:
		for _, argument := range node.Content {
			if name := argumentName(argument); name != "" {
				flags[name] = append(flags[name], text(child(argument, "value")))
			}
		}
	default:
		for i := 0; i+1 < len(node.Content); i += 2 {
			flags[node.Content[i].Value] = []string{node.Content[i+1].Value}
		}
	}
	return flags
}

func argumentName(argument *yaml.Node) string { return text(child(argument, "name")) }

func text(node *yaml.Node) string {
	if node == nil {
		return ""
	}
	return node.Value
}

// setFlag gives a component a flag, in place of any that it had: where the first of them stood, or at the end. With no
// values, the flag goes.
func (c *ClusterConfiguration) setFlag(component, name string, values []string) {
	place := places[component]
	parent := c.document.Content[0]
	for _, key := range place[:len(place)-1] {
		parent = provide(parent, key, yaml.MappingNode)
	}
	kind := yaml.MappingNode
	if c.listed {
		kind = yaml.SequenceNode
	}
	arguments := provide(parent, extraArgs, kind)
	if c.listed {
		setListed(arguments, name, values)
	} else {
		setMapped(arguments, name, values)
	}
	if len(arguments.Content) == 0 {
		removeKey(parent, extraArgs)
	}
}

func setListed(list *yaml.Node, name string, values []string) {
	is := func(argument *yaml.Node) bool { return argumentName(argument) == name }
	at := slices.IndexFunc(list.Content, is)
	if at < 0 {
		at = len(list.Content)
	}
	list.Content = slices.DeleteFunc(list.Content, is)
	arguments := make([]*yaml.Node, len(values))
	for i, value := range values {
		arguments[i] = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			stringNode("name"), stringNode(name), stringNode("value"), stringNode(value),
		}}
	}
	list.Content = slices.Insert(list.Content, at, arguments...)
}

func setMapped(mapping *yaml.Node, name string, values []string) {
	switch argument := child(mapping, name); {
	case len(values) == 0:
		removeKey(mapping, name)
	case argument != nil:
		*argument = *stringNode(values[0])
	default:
		mapping.Content = append(mapping.Content, stringNode(name), stringNode(values[0]))
	}
}

// provide returns the child with the key, made where there is none. An empty one is to be filled, a line for each.
func provide(mapping *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	found := child(mapping, key)
	if found == nil {
		found = &yaml.Node{}
		mapping.Content = append(mapping.Content, stringNode(key), found)
	}
	if len(found.Content) == 0 {
		*found = yaml.Node{Kind: kind}
	}
	return found
}

func stringNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func (c *ClusterConfiguration) bytes() ([]byte, error) {
	var buffer bytes.Buffer
	encoder := yaml.NewEncoder(&buffer)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := errors.Join(encoder.Encode(&c.document), encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing kubeadm's ClusterConfiguration: %w", err)
	}
	return buffer.Bytes(), nil
}

// RebaseClusterConfiguration returns the ClusterConfiguration in which components have exactly the wanted values of their
// managed flags. Like Rebase, it goes back to the original's bytes where nothing else was changed since. What the
// configuration doesn't take, it is not given.
func RebaseClusterConfiguration(original, current []byte, managed map[string][]string, want map[string]Flags) ([]byte, error) {
	is, err := ParseClusterConfiguration(current)
	if err != nil {
		return nil, err
	}
	has := map[string]Flags{}
	for component := range managed {
		has[component] = is.Flags(component)
	}
	rebuilt, err := giveAll(original, managed, has)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(rebuilt, current) {
		return giveAll(original, managed, want)
	}
	return giveAll(current, managed, want)
}

func giveAll(data []byte, managed map[string][]string, want map[string]Flags) ([]byte, error) {
	c, err := ParseClusterConfiguration(data)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, component := range slices.Sorted(maps.Keys(managed)) {
		has := c.Flags(component)
		for _, name := range slices.Sorted(slices.Values(managed[component])) {
			values := want[component][name]
			if slices.Equal(has[name], values) || !c.Takes(component, values) {
				continue
			}
			changed = true
			c.setFlag(component, name, values)
		}
	}
	if !changed {
		return data, nil
	}
	return c.bytes()
}
