package provider_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// kindLab is a test's cluster, and what is around it.
type kindLab struct {
	t            *testing.T
	name, folder string
}

func newKindLab(t *testing.T, name string) kindLab {
	lab := kindLab{t: t, name: accPrefix + name, folder: t.TempDir()}
	if os.Getenv("TF_ACC") != "" {
		lab.delete()
		t.Cleanup(lab.delete)
	}
	return lab
}

// config is a cluster of the node image under test.
func (l kindLab) config(body string) string {
	if image := os.Getenv("KUBECOMM_NODE_IMAGE"); image != "" {
		body = fmt.Sprintf("node_image = %q\n  %s", image, body)
	}
	return fmt.Sprintf("resource \"kubecomm_kind_cluster\" \"test\" {\n  name = %q\n  %s\n}\n", l.name, body)
}

func (l kindLab) image() knownvalue.Check {
	if image := os.Getenv("KUBECOMM_NODE_IMAGE"); image != "" {
		return knownvalue.StringExact(image)
	}
	return knownvalue.StringExact(cluster.DefaultNodeImage)
}

// opaqueImage is the node image under a name that doesn't tell its version.
func (l kindLab) opaqueImage() string {
	image := os.Getenv("KUBECOMM_NODE_IMAGE")
	if os.Getenv("TF_ACC") == "" || image == "" {
		return image
	}
	name := l.name + "/node:opaque"
	l.engine("tag", image, name)
	l.t.Cleanup(func() { l.engine("rmi", name) })
	return name
}

func (l kindLab) file(name string) string { return filepath.Join(l.folder, name) }

func (l kindLab) read(name string) string {
	content, err := os.ReadFile(l.file(name))
	require.NoError(l.t, err)
	return string(content)
}

// usersKubeconfig makes a kubeconfig the user's, and returns its content.
func (l kindLab) usersKubeconfig() string {
	content := "apiVersion: v1\nkind: Config\ncurrent-context: mine\n"
	require.NoError(l.t, os.WriteFile(l.file("users-kubeconfig"), []byte(content), 0o600))
	l.t.Setenv("KUBECONFIG", l.file("users-kubeconfig"))
	return content
}

func (l kindLab) currentContext(path string) string {
	config, err := clientcmd.LoadFromFile(path)
	require.NoError(l.t, err)
	return config.CurrentContext
}

// engine runs the container engine's client.
func (l kindLab) engine(args ...string) {
	client := os.Getenv("KIND_EXPERIMENTAL_PROVIDER")
	if client == "" {
		client = "docker"
	}
	output, err := exec.CommandContext(context.Background(), client, args...).CombinedOutput()
	require.NoError(l.t, err, string(output))
}

// on runs a script on the first node of a role.
func (l kindLab) on(role cluster.Role, script string) string {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	for _, node := range opened.Nodes() {
		if node.Role() == role {
			output, err := node.Run(l.t.Context(), cluster.Command{Args: []string{"sh", "-ec", script}})
			require.NoError(l.t, err)
			return string(output)
		}
	}
	l.t.Fatalf("cluster %s has no %s", l.name, role)
	return ""
}

func (l kindLab) clusters() []string {
	names, err := cluster.NewEngine().List(context.Background())
	require.NoError(l.t, err)
	return names
}

func (l kindLab) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(l.t, cluster.NewEngine().Delete(ctx, l.name, ""))
}

func (l kindLab) checkGone(*terraform.State) error {
	for _, name := range l.clusters() {
		if name == l.name {
			return fmt.Errorf("cluster %s is still there", name)
		}
	}
	return nil
}
