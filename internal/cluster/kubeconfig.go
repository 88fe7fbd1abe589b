package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// lockPatience is how long to wait for another program that is writing the same kubeconfig.
const lockPatience = 3 * time.Second

// Access is what it takes to talk to a cluster's API from this machine, as its administrator.
type Access struct {
	Kubeconfig           []byte
	Endpoint             string // URL
	ClusterCACertificate []byte // PEM, as are the others
	ClientCertificate    []byte
	ClientKey            []byte
}

// Access returns how to talk to the cluster's API.
func (c *Cluster) Access(ctx context.Context) (Access, error) {
	text, err := c.Kubeconfig(ctx)
	if err != nil {
		return Access{}, err
	}
	config, err := clientcmd.Load(text)
	if err != nil {
		return Access{}, fmt.Errorf("the kubeconfig of cluster %s: %w", c.name, err)
	}
	cluster, user := entries(config, config.CurrentContext)
	if cluster == nil || user == nil {
		return Access{}, fmt.Errorf("the kubeconfig of cluster %s has no current context", c.name)
	}
	return Access{
		Kubeconfig:           text,
		Endpoint:             cluster.Server,
		ClusterCACertificate: cluster.CertificateAuthorityData,
		ClientCertificate:    user.ClientCertificateData,
		ClientKey:            user.ClientKeyData,
	}, nil
}

// entries returns what a context refers to, or nil.
func entries(config *api.Config, contextName string) (*api.Cluster, *api.AuthInfo) {
	context, found := config.Contexts[contextName]
	if !found {
		return nil, nil
	}
	return config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
}

// contextName is what kind calls a cluster's context, cluster and user entries in kubeconfigs (v0.33.0,
// pkg/cluster/internal/kubeconfig/internal/kubeconfig/helpers.go).
func contextName(cluster string) string { return "kind-" + cluster }

// WriteKubeconfig merges a context for the cluster into a kubeconfig file and makes it the current one, as the kind
// command does.
func (c *Cluster) WriteKubeconfig(ctx context.Context, path string) error {
	err := withPatience(ctx, func() error { return c.provider.ExportKubeConfig(c.name, path, false) })
	if err != nil {
		return fmt.Errorf("writing a context for cluster %s to %s: %w", c.name, path, err)
	}
	return nil
}

// In says whether a kubeconfig file has a context for a cluster that gives this access.
func (a Access) In(path, cluster string) (bool, error) {
	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the kubeconfig %s: %w", path, err)
	}
	there, user := entries(config, contextName(cluster))
	return there != nil && user != nil &&
		there.Server == a.Endpoint &&
		bytes.Equal(there.CertificateAuthorityData, a.ClusterCACertificate) &&
		bytes.Equal(user.ClientCertificateData, a.ClientCertificate), nil
}

// RemoveKubeconfig takes a cluster's context out of a kubeconfig file. kind's library does that only together with the
// cluster.
func RemoveKubeconfig(ctx context.Context, path, cluster string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	options := clientcmd.NewDefaultPathOptions()
	options.LoadingRules.ExplicitPath = path
	err := withPatience(ctx, func() error {
		config, err := options.GetStartingConfig()
		if err != nil {
			return err
		}
		name := contextName(cluster)
		delete(config.Contexts, name)
		delete(config.Clusters, name)
		delete(config.AuthInfos, name)
		if config.CurrentContext == name {
			config.CurrentContext = ""
		}
		return clientcmd.ModifyConfig(options, *config, false)
	})
	if err != nil {
		return fmt.Errorf("removing the context of cluster %s from %s: %w", cluster, path, err)
	}
	return nil
}

// withPatience repeats what fails because another program holds the lock file beside a kubeconfig.
func withPatience(ctx context.Context, write func() error) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		err := write()
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another program seems to be writing it; if none is, delete the .lock file beside it: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
