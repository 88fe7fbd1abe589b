package approver

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Config is what an approver on a control plane is given as a file. It holds no secret.
type Config struct {
	// Server is the URL of the control plane's own apiserver, and ServerName whom it must show to be.
	Server     string `json:"server"`
	ServerName string `json:"serverName"`
	// Namespace and ServiceAccount are who the approver is.
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	// Instance is the control plane's name.
	Instance string `json:"instance"`
	Nodes    Nodes  `json:"nodes"`
}

// Encode returns the file's content, which is the same for what is the same.
func (c Config) Encode() []byte {
	data, _ := json.MarshalIndent(c, "", "  ") // texts and addresses can always be written
	return append(data, '\n')
}

// ParseConfig reads such a file. What it doesn't know it refuses: it may be what was meant to restrict it.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("the approver's configuration: %w", err)
	}
	return c, nil
}
