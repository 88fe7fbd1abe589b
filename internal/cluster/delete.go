package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Delete deletes a cluster's nodes and everything on them, and takes its context out of a kubeconfig file; with no path,
// no kubeconfig of the user's is touched. A cluster that isn't there is no error.
func (e *Engine) Delete(ctx context.Context, name, kubeconfigPath string) error {
	if name == "" {
		return errors.New("no cluster to delete: kind would take its default name") // which may be anybody's
	}
	provider, _, err := e.connect(ctx)
	if err != nil {
		return err
	}
	// Without a file, kind looks for the cluster's context in the user's kubeconfig.
	folder, err := os.MkdirTemp("", "kubecomm-")
	if err != nil {
		return err
	}
	if kubeconfigPath == "" {
		kubeconfigPath = filepath.Join(folder, "kubeconfig")
	}
	deleted := make(chan error, 1)
	go func() {
		err := provider.Delete(name, kubeconfigPath)
		_ = os.RemoveAll(folder) // before anybody is told that all is gone
		deleted <- err
	}()
	select {
	case err := <-deleted:
		if err != nil {
			return fmt.Errorf("deleting cluster %s: %s", name, Redact(outputOf(err)))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("deleting cluster %s: %w", name, context.Cause(ctx))
	}
}
