package cluster

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// jsonProblems checks RFC 6902 patches of kubeadm's documents.
func (t target) jsonProblems(at Path, patches []JSONPatch) []Problem {
	var subjects []subject
	for _, patch := range patches {
		subjects = append(subjects, patch.subject())
	}
	var problems []Problem
	for i, patch := range patches {
		at := at.at(i)
		for _, reason := range operationProblems(patch.Patch) {
			problems = append(problems, Problem{at.at("patch"), reason})
		}
		if patch.Kind == "" {
			continue // required, so it isn't known yet
		}
		if reason := t.unmatched(subjects[i], subjects); reason != "" {
			problems = append(problems, Problem{at, noEffect("The patch", reason)})
		}
	}
	return problems
}

// subject joins group and version as kind does, even where that matches nothing (v0.33.0,
// pkg/internal/patch/matchinfo.go).
func (p JSONPatch) subject() subject {
	if p.Group == "" {
		return subject{p.Kind, p.Version}
	}
	return subject{p.Kind, p.Group + "/" + p.Version}
}

var jsonOperations = choices{"add", "remove", "replace", "move", "copy", "test"}

// operationProblems checks a list of RFC 6902 operations as far as that can be done without the document.
func operationProblems(raw string) []string {
	if raw == "" {
		return nil
	}
	var operations []map[string]json.RawMessage
	text, err := yaml.YAMLToJSONStrict([]byte(raw))
	if err == nil {
		err = json.Unmarshal(text, &operations)
	}
	if err != nil {
		return []string{fmt.Sprintf("This is not a list of RFC 6902 operations in JSON or YAML: %s.", err)}
	}
	if len(operations) == 0 {
		return []string{"There are no operations in this patch."}
	}
	var reasons []string
	for i, operation := range operations {
		if reason := operationProblem(operation); reason != "" {
			reasons = append(reasons, fmt.Sprintf("Operation %d: %s.", i+1, reason))
		}
	}
	return reasons
}

func operationProblem(operation map[string]json.RawMessage) string {
	text := func(name string) (string, bool) {
		var value string
		err := json.Unmarshal(operation[name], &value)
		return value, err == nil
	}
	op, found := text("op")
	if !found || len(jsonOperations.problem(nil, op)) > 0 || op == "" {
		return "op must be " + jsonOperations.String()
	}
	if path, found := text("path"); !found || !validPointer(path) {
		return `path must be a JSON pointer, such as "/apiServer/certSANs/-"`
	}
	switch op {
	case "add", "replace", "test":
		if _, found := operation["value"]; !found {
			return op + " needs a value"
		}
	case "move", "copy":
		if from, found := text("from"); !found || !validPointer(from) {
			return op + ` needs from, a JSON pointer such as "/apiServer/certSANs/0"`
		}
	}
	return ""
}

func validPointer(pointer string) bool { return pointer == "" || strings.HasPrefix(pointer, "/") }
