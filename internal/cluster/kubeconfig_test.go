package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestRemoveKubeconfigLeavesOtherContextsAlone(t *testing.T) {
	t.Parallel()
	path := kubeconfigOf(t, "dev", "other")
	require.NoError(t, RemoveKubeconfig(t.Context(), path, "dev"))
	config, err := clientcmd.LoadFromFile(path)
	require.NoError(t, err)
	assert.Len(t, config.Contexts, 1)
	assert.Len(t, config.Clusters, 1)
	assert.Len(t, config.AuthInfos, 1)
	assert.Contains(t, config.Contexts, "kind-other")
	assert.Empty(t, config.CurrentContext, "the current context was the removed one")
}

func TestRemoveKubeconfigDoesNotCreateAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	require.NoError(t, RemoveKubeconfig(t.Context(), path, "dev"))
	assert.NoFileExists(t, path)
}

func TestAccessIsInAKubeconfig(t *testing.T) {
	t.Parallel()
	path := kubeconfigOf(t, "dev")
	access := Access{Endpoint: "https://127.0.0.1:1"}
	check := func(access Access, path, cluster string) bool {
		in, err := access.In(path, cluster)
		require.NoError(t, err)
		return in
	}
	assert.True(t, check(access, path, "dev"))
	assert.False(t, check(access, path, "other"), "another cluster's context")
	assert.False(t, check(Access{Endpoint: "https://127.0.0.1:2"}, path, "dev"), "a port of before")
	assert.False(t, check(Access{Endpoint: access.Endpoint, ClientCertificate: []byte("x")}, path, "dev"), "a certificate of before")
	assert.False(t, check(access, path+"-none", "dev"), "no file")
}

func TestRemoveKubeconfigSaysWhoseLockIsInTheWay(t *testing.T) {
	t.Parallel()
	path := kubeconfigOf(t, "dev")
	require.NoError(t, os.WriteFile(path+".lock", nil, 0o600))
	err := RemoveKubeconfig(t.Context(), path, "dev")
	require.ErrorContains(t, err, "delete the .lock file beside it")
	require.ErrorIs(t, err, os.ErrExist)
}

// kubeconfigOf writes a kubeconfig with kind's entries for clusters, the first of which is current.
func kubeconfigOf(t *testing.T, clusters ...string) string {
	t.Helper()
	config := api.NewConfig()
	for _, name := range clusters {
		name = contextName(name)
		config.Clusters[name] = &api.Cluster{Server: "https://127.0.0.1:1"}
		config.AuthInfos[name] = &api.AuthInfo{}
		config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	}
	config.CurrentContext = contextName(clusters[0])
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}
