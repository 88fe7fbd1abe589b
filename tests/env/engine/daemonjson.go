package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// withRuntime adds a runtime to the text of daemon.json and makes it the
// default, and reports whether that changes anything. All other keys stay. A
// default runtime that somebody else chose is kept as well: it is an error,
// because kind has no way to name a runtime.
func withRuntime(old []byte, name, path string) (merged []byte, changed bool, err error) {
	doc := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(old)) > 0 {
		if err := json.Unmarshal(old, &doc); err != nil {
			return nil, false, fmt.Errorf("it is not a JSON object: %w", err)
		}
	}
	chosen := ""
	if raw, ok := doc["default-runtime"]; ok {
		if err := json.Unmarshal(raw, &chosen); err != nil {
			return nil, false, fmt.Errorf("default-runtime: %w", err)
		}
	}
	if chosen != "" && chosen != name && chosen != "runc" {
		return nil, false, fmt.Errorf("default-runtime is %q already", chosen)
	}
	runtimes := map[string]json.RawMessage{}
	if raw, ok := doc["runtimes"]; ok {
		if err := json.Unmarshal(raw, &runtimes); err != nil {
			return nil, false, fmt.Errorf("runtimes: %w", err)
		}
	}
	var mine struct {
		Path string `json:"path"`
	}
	if raw, ok := runtimes[name]; ok {
		_ = json.Unmarshal(raw, &mine) // what can not be read is replaced
	}
	if chosen == name && mine.Path == path {
		return old, false, nil
	}
	runtimes[name], err = json.Marshal(map[string]string{"path": path})
	if err != nil {
		return nil, false, err
	}
	if doc["runtimes"], err = json.Marshal(runtimes); err != nil {
		return nil, false, err
	}
	if doc["default-runtime"], err = json.Marshal(name); err != nil {
		return nil, false, err
	}
	merged, err = json.MarshalIndent(doc, "", "  ")
	return append(merged, '\n'), true, err
}
