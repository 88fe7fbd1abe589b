package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// mergePatch is one YAML document of a list of patches.
type mergePatch struct {
	subject subject
	path    Path
	name    string // which document of the list element, for a sentence
	content map[string]any
}

// mergeProblems checks YAML patches.
func (t target) mergeProblems(at Path, patches []string) []Problem {
	var parsed []mergePatch
	var subjects []subject
	var problems []Problem
	for i, raw := range patches {
		found, wrong := parseMergePatches(at.at(i), raw)
		parsed = append(parsed, found...)
		problems = append(problems, wrong...)
	}
	for _, patch := range parsed {
		subjects = append(subjects, patch.subject)
	}
	for _, patch := range parsed {
		if reason := t.unmatched(patch.subject, subjects); reason != "" {
			problems = append(problems, Problem{patch.path, noEffect(patch.name, reason)})
			continue
		}
		for _, reason := range t.mergeRules(patch).check(patch.content, "") {
			problems = append(problems, Problem{patch.path, patch.name + ": " + reason + "."})
		}
	}
	return problems
}

// parseMergePatches splits a patch into documents as kind does (v0.33.0, pkg/internal/patch/resource.go).
func parseMergePatches(at Path, raw string) ([]mergePatch, []Problem) {
	var patches []mergePatch
	var problems []Problem
	parts := strings.Split(raw, "\n---")
	for i, part := range parts {
		name := "The patch"
		if len(parts) > 1 {
			name = fmt.Sprintf("Document %d of the patch", i+1)
		}
		var content any
		if text, err := yaml.YAMLToJSONStrict([]byte(part)); err != nil {
			problems = append(problems, Problem{at, fmt.Sprintf("%s is not valid YAML: %s.", name, err)})
			continue
		} else if err := json.Unmarshal(text, &content); err != nil {
			problems = append(problems, Problem{at, fmt.Sprintf("%s is not valid YAML: %s.", name, err)})
			continue
		}
		if content == nil {
			continue // blank, or comments alone
		}
		fields, ok := content.(map[string]any)
		if !ok {
			problems = append(problems, Problem{at, name + " is not a YAML object with a kind and fields."})
			continue
		}
		kind, _ := fields["kind"].(string)
		apiVersion, _ := fields["apiVersion"].(string)
		patches = append(patches, mergePatch{subject{kind, apiVersion}, at, name, fields})
	}
	// An empty string is a patch that isn't known yet.
	if len(patches) == 0 && len(problems) == 0 && raw != "" {
		problems = append(problems, Problem{at, "The patch has no content."})
	}
	return patches, problems
}

// mergeRules are how kind merges the fields that it treats in a way of its own, which differs by the version of
// kubeadm's configuration (v0.33.0, pkg/internal/patch/kubeadm_merge.go).
type mergeRules struct {
	lists      bool   // extraArgs may be a list
	maps       bool   // extraArgs may be a map
	mapVersion string // the apiVersion that takes maps alone, if there is one
}

// mergeRules returns the rules for a patch that matches. As long as a node's version isn't known, either form is right.
func (t target) mergeRules(patch mergePatch) mergeRules {
	doc := documents[slices.IndexFunc(documents, func(d document) bool { return d.kind == patch.subject.kind })]
	rules := mergeRules{lists: true, maps: true}
	if !strings.HasPrefix(doc.possible()[0], kubeadmGroup) {
		return rules
	}
	for _, node := range t.readers(doc) {
		apiVersion := patch.subject.apiVersion
		if apiVersion == "" && node.version != nil {
			apiVersion = doc.apiVersion(node.version)
		}
		switch apiVersion {
		case "":
		case kubeadmGroup + "/v1beta4":
			// kind converts a map to a list if the patch doesn't say which version it is for.
			rules.maps = rules.maps && patch.subject.apiVersion == ""
		default:
			rules.lists = false
			rules.mapVersion = apiVersion
		}
	}
	return rules
}

// check walks the fields of a patch and returns what would be lost or refused on the way.
func (r mergeRules) check(fields map[string]any, prefix string) []string {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field, value := prefix+name, fields[name]
		switch name {
		case "extraArgs", "kubeletExtraArgs":
			reasons = append(reasons, r.checkArgs(field, value)...)
		case "certSANs":
			if _, ok := value.([]any); !ok {
				reasons = append(reasons, field+" is not a list, and would be dropped in silence (kind adds the list's "+
					"entries to its own)")
			}
		default:
			if below, ok := value.(map[string]any); ok {
				reasons = append(reasons, r.check(below, field+".")...)
			}
		}
	}
	return reasons
}

func (r mergeRules) checkArgs(field string, value any) []string {
	switch value := value.(type) {
	case map[string]any:
		if !r.maps {
			return []string{field + " is a map, and would be dropped in silence: kubeadm.k8s.io/v1beta4 takes a list of " +
				"{name, value}. (A patch without an apiVersion may have a map: kind converts it.)"}
		}
		var reasons []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			reasons = append(reasons, checkArg(field+"."+name, value[name])...)
		}
		return reasons
	case []any:
		if !r.lists {
			return []string{fmt.Sprintf("%s is a list, but %s takes a map", field, r.mapVersion)}
		}
		var reasons []string
		for i, item := range value {
			arg, _ := item.(map[string]any)
			name, _ := arg["name"].(string)
			if name == "" {
				reasons = append(reasons, fmt.Sprintf("%s[%d] has no name, and would be dropped in silence", field, i))
				continue
			}
			reasons = append(reasons, checkArg(fmt.Sprintf("%s[%d] (%s)", field, i, name), arg["value"])...)
		}
		return reasons
	default:
		return []string{field + " is neither a list of {name, value} nor a map"}
	}
}

// checkArg accepts what kubeadm does. Null takes away an argument that kind set.
func checkArg(field string, value any) []string {
	switch value.(type) {
	case string, nil:
		return nil
	default:
		return []string{fmt.Sprintf("%s is %v, which is not a string: quote it", field, value)}
	}
}
