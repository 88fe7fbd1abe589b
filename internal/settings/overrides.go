package settings

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Overrides are the values that single nodes have in place of those for all, by the node's name and the setting's. Like
// any declared values they may be nil where they aren't known yet: then the value for all isn't known to hold either.
type Overrides map[string]map[string]Value

// PerNode lists the settings that single nodes can have a value of their own for: those of kubelets' configuration and of
// the files that it names.
func PerNode() []Setting {
	return slices.DeleteFunc(Table(), func(s Setting) bool {
		return s.Field == "" && !slices.Contains(KubeletDocumentFields(), s.Document)
	})
}

// On returns a node's values, given those for all.
func (o Overrides) On(node string, forAll map[string]Value) map[string]Value {
	values := maps.Clone(forAll)
	if values == nil {
		values = map[string]Value{}
	}
	maps.Copy(values, o[node])
	return values
}

// Nodes lists the names of the nodes that have values of their own, in order.
func (o Overrides) Nodes() []string { return slices.Sorted(maps.Keys(o)) }

// NodeProblem is what is wrong with a value of a node.
type NodeProblem struct {
	Node string
	Problem
}

// Check is Check of each node's values. What is wrong with the values for all is left out, unless a node makes it so.
func (o Overrides) Check(forAll map[string]Value) []NodeProblem {
	var problems []NodeProblem
	known := Check(forAll)
	for _, node := range o.Nodes() {
		for _, problem := range Check(o.On(node, forAll)) {
			if o[node][problem.Name] == nil {
				if slices.ContainsFunc(known, problem.same) {
					continue
				}
				problem.Err = fmt.Errorf("the node has what is declared for all, %s: %w", forAll[problem.Name], problem.Err)
			}
			problems = append(problems, NodeProblem{node, problem})
		}
	}
	return problems
}

func (p Problem) same(other Problem) bool {
	return p.Name == other.Name && p.Err.Error() == other.Err.Error()
}

// VersionMatters is VersionMatters of the nodes' own values.
func (o Overrides) VersionMatters() bool { return len(o.CheckVersion(0)) > 0 }

// CheckVersion is CheckVersion of the nodes' own values.
func (o Overrides) CheckVersion(minor uint) []NodeProblem {
	var problems []NodeProblem
	for _, node := range o.Nodes() {
		for _, problem := range CheckVersion(o[node], minor) {
			problems = append(problems, NodeProblem{node, problem})
		}
	}
	return problems
}

// CheckTime is CheckTime of the nodes' own values.
func (o Overrides) CheckTime(now time.Time) []NodeProblem {
	var problems []NodeProblem
	for _, node := range o.Nodes() {
		for _, problem := range CheckTime(o[node], now) {
			problems = append(problems, NodeProblem{node, problem})
		}
	}
	return problems
}

// Override gives nodes' kubelets values of their own.
func (s *Settings) Override(overrides Overrides) {
	for node, values := range overrides {
		own := Of(values)
		if own.KubeletFields != nil {
			if s.NodeKubeletFields == nil {
				s.NodeKubeletFields = map[string]map[string]any{}
			}
			s.NodeKubeletFields[node] = own.KubeletFields
		}
		if own.KubeletDocuments != nil {
			if s.NodeKubeletDocuments == nil {
				s.NodeKubeletDocuments = map[string]map[string]Document{}
			}
			s.NodeKubeletDocuments[node] = own.KubeletDocuments
		}
	}
}

// KubeletFieldsOn are the declared fields of a node's kubelet's configuration, by name.
func (s Settings) KubeletFieldsOn(node string) map[string]any {
	fields := map[string]any{}
	maps.Copy(fields, s.KubeletFields)
	maps.Copy(fields, s.NodeKubeletFields[node])
	return fields
}

// KubeletDocumentsOn are the declared files of a node's kubelet, by the field that names them.
func (s Settings) KubeletDocumentsOn(node string) map[string]Document {
	documents := map[string]Document{}
	maps.Copy(documents, s.KubeletDocuments)
	maps.Copy(documents, s.NodeKubeletDocuments[node])
	return documents
}

// DescribeOnNode returns the documentation of a setting where it is declared for a single node.
func DescribeOnNode(setting Setting) string {
	return fmt.Sprintf("On this node, in place of `%s`. Default: as for all.", setting.Name)
}
