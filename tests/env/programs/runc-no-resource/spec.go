package main

import (
	"bytes"
	"encoding/json"
)

const absent = "CAP_SYS_RESOURCE"

// adaptSpec changes an OCI runtime specification (runtime-spec v1, config.md).
func adaptSpec(spec []byte) ([]byte, error) {
	doc, err := decode(spec)
	if err != nil {
		return nil, err
	}
	if p, ok := doc["process"].(map[string]any); ok {
		restrict(p)
	}
	return json.Marshal(doc)
}

// adaptProcess changes a bare process object, as `runc exec --process` takes it.
func adaptProcess(process []byte) ([]byte, error) {
	doc, err := decode(process)
	if err != nil {
		return nil, err
	}
	restrict(doc)
	return json.Marshal(doc)
}

// decode keeps numbers as they are written: limits such as 2^64-1 do not fit
// a float.
func decode(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var doc map[string]any
	err := d.Decode(&doc)
	return doc, err
}

func restrict(process map[string]any) {
	if sets, ok := process["capabilities"].(map[string]any); ok {
		for name, set := range sets {
			if list, ok := set.([]any); ok {
				sets[name] = without(list, absent)
			}
		}
	}
	if n, ok := process["oomScoreAdj"].(json.Number); ok {
		if v, err := n.Int64(); err == nil && v < 0 {
			process["oomScoreAdj"] = json.Number("0")
		}
	}
}

func without(list []any, name string) []any {
	kept := make([]any, 0, len(list))
	for _, v := range list {
		if v != name {
			kept = append(kept, v)
		}
	}
	return kept
}
