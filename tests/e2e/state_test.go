package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
)

const manifestFile = "/etc/kubernetes/manifests/kube-apiserver.yaml"

// fileStates are permissions, owner and digest of files, by node and path.
type fileStates map[string]string

// readFileStates looks at every file that was there before kubecomm and that it changes.
func readFileStates(ctx context.Context, c *cluster.Cluster) (fileStates, error) {
	states := fileStates{}
	for _, node := range c.Nodes() {
		files := []string{imposter.CertFile, imposter.KeyFile}
		if node.Role() == cluster.ControlPlane {
			files = append(files, manifestFile)
		}
		for _, file := range files {
			state, err := run(ctx, node, `stat --format '%a %U %G' -- "$1" && sha256sum <"$1"`, file)
			if err != nil {
				return nil, err
			}
			states[node.Name()+":"+file] = state
		}
	}
	return states, nil
}

// processes returns the identities of what must outlive a change, by name: others after a restart. The controller
// manager and the scheduler are not among them: they end themselves when the API is away for longer than they may keep
// their lease.
func (s *suite) processes(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, node := range s.cluster.Nodes() {
		for _, service := range []string{"kubelet", "containerd"} {
			state, err := run(ctx, node,
				`systemctl show --property MainPID --property ExecMainStartTimestampMonotonic "$1"`, service)
			require.NoError(t, err)
			require.NotContains(t, state, "MainPID=0\n")
			found[service+" on "+node.Name()] = state
		}
		pod := s.podOn(t, node)
		containers, err := pod.Containers(ctx)
		require.NoError(t, err)
		require.Len(t, containers, 2)
		found["the pod on "+node.Name()] = fmt.Sprint(containers)
	}
	for _, node := range s.cluster.ControlPlanes() {
		found["etcd on "+node.Name()] = container(ctx, t, node, "etcd")
	}
	return found
}

// apiserver returns the identity of the running apiserver.
func (s *suite) apiserver(ctx context.Context, t *testing.T) string {
	t.Helper()
	return container(ctx, t, s.controlPlane(), "kube-apiserver")
}

func container(ctx context.Context, t *testing.T, node *cluster.Node, name string) string {
	t.Helper()
	id, err := run(ctx, node, `crictl --timeout 30s ps --quiet --state Running --name "^$1\$"`, name)
	require.NoError(t, err)
	require.NotEmpty(t, id)
	return id
}

// run runs a shell script on a node.
func run(ctx context.Context, node *cluster.Node, script string, args ...string) (string, error) {
	command := cluster.Command{Args: append([]string{"sh", "-c", script, "sh"}, args...)}
	output, err := node.Run(ctx, command)
	return string(output), err
}
