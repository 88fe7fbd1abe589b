// Package example has the quickstart, with which users begin, as tests apply it: a copy, with a cluster of its own.
package example

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The resources of the quickstart.
const (
	Cluster   = "kubecomm_kind_cluster.dev"
	Hardening = "kubecomm_hardening.dev"
)

// Copy puts the quickstart, which is in a folder, into another, with what names its cluster and decides Kubernetes' version.
func Copy(from, folder, name, nodeImage string) error {
	if nodeImage == "" {
		return errors.New("no node image is named")
	}
	files, err := filepath.Glob(filepath.Join(from, "*.tf"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no example in %s", from)
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	variables := fmt.Sprintf("name = %q\nnode_image = %q\n", name, nodeImage)
	return os.WriteFile(filepath.Join(folder, "terraform.tfvars"), []byte(variables), 0o600)
}
