package program

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// The variables that name images of clients. A machine that builds no images has none with Kubernetes' Python library.
const (
	kubectlVariable = "KUBECOMM_KUBECTL_IMAGE"
	pythonVariable  = "KUBECOMM_PYTHON_IMAGE"
)

// LoadClients gives the nodes of a cluster the images of clients that variables name, and returns the flags that name them to a run.
// Variables are looked up by getenv.
func LoadClients(ctx context.Context, c *cluster.Cluster, getenv func(string) string) (flags []string, err error) {
	if getenv(kubectlVariable) == "" {
		return nil, fmt.Errorf("%s isn't set; make sets it to an image of kubectl", kubectlVariable)
	}
	for _, client := range []struct{ flag, variable string }{{"-kubectl-image", kubectlVariable}, {"-python-image", pythonVariable}} {
		if image := getenv(client.variable); image != "" {
			if err := load(ctx, c, image); err != nil {
				return nil, err
			}
			flags = append(flags, client.flag, image)
		}
	}
	return flags, nil
}

// load gives the nodes an image that this machine has, lest they need a registry.
func load(ctx context.Context, c *cluster.Cluster, image string) error {
	archive, err := exec.CommandContext(ctx, "docker", "save", image).Output()
	if err != nil {
		return fmt.Errorf("docker save %s: %w", image, err)
	}
	for _, node := range c.Nodes() {
		args := []string{"ctr", "--namespace", "k8s.io", "images", "import", "-"}
		if _, err := node.Run(ctx, cluster.Command{Args: args, Stdin: bytes.NewReader(archive)}); err != nil {
			return fmt.Errorf("giving node %s the image %s: %w", node.Name(), image, err)
		}
	}
	return nil
}
