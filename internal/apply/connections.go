package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// oldConnectionLimit is how long an apiserver may use a connection after its client certificate was replaced: it looks at
// the files every five minutes, and then ends what it opened with others (Kubernetes v1.37.1,
// staging/src/k8s.io/client-go/transport/cert_rotation.go).
const oldConnectionLimit = 5*time.Minute + 10*time.Second

// connectionsFile holds the connections that were open when an apiserver's client certificate was replaced. It goes with
// the checkpoint.
const connectionsFile = string(checkpoint) + "/connections"

// connectionsScript prints the connections of apiservers to kubelets' ports, by both of their ends.
const connectionsScript = `filter=
for port; do filter="$filter${filter:+ or }dport = :$port"; done
ss --no-header --tcp --numeric --processes state established "( $filter )" |
  awk '/"kube-apiserver"/ { print $3, $4 }' | sort`

func kubeletConnections(ctx context.Context, target Target, node Node) ([]string, error) {
	ports, err := kubeletPorts(ctx, target)
	if err != nil {
		return nil, err
	}
	output, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", connectionsScript, "sh"}, ports...)})
	if err != nil {
		return nil, fmt.Errorf("looking at connections to kubelets on node %s: %w", node.Name(), err)
	}
	return splitLines(output), nil
}

func splitLines(text []byte) []string {
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func kubeletPorts(ctx context.Context, target Target) ([]string, error) {
	var ports []string
	for _, node := range target.Nodes {
		serving, err := currentServing(ctx, node)
		if err != nil {
			return nil, err
		}
		ports = append(ports, strconv.Itoa(int(serving.Dialled.Port())))
	}
	return union(ports), nil
}

// recordConnections notes which connections will be of a former identity once a node's apiserver has another.
func recordConnections(ctx context.Context, target Target, node Node) error {
	open, err := kubeletConnections(ctx, target, node)
	if err != nil {
		return err
	}
	file := cluster.File{Data: []byte(strings.Join(open, "\n")), Mode: privateMode}
	return node.WriteFile(ctx, connectionsFile, file)
}

// notedConnections are those that this apply noted; none if it has not replaced the node's certificate.
func notedConnections(ctx context.Context, _ Target, node Node) ([]string, error) {
	file, err := node.ReadFile(ctx, connectionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return splitLines(file.Data), err
}

// oldConnections are all where none were noted: an earlier apply may have been interrupted after it replaced the
// certificate.
func oldConnections(ctx context.Context, target Target, node Node) ([]string, error) {
	file, err := node.ReadFile(ctx, connectionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return kubeletConnections(ctx, target, node)
	}
	return splitLines(file.Data), err
}

// waitConnections waits until no connection to a kubelet is left that is of a former identity: who has rights by what
// is about to be removed may still use one of them, and would be refused. An idle one ends after 90 seconds.
func (j job) waitConnections(ctx context.Context, which func(context.Context, Target, Node) ([]string, error)) error {
	old := map[string][]string{}
	for _, node := range j.target.controlPlanes() {
		var err error
		if old[node.Name()], err = which(ctx, j.target, node); err != nil {
			return err
		}
	}
	begun := time.Now()
	options := wait.Options{Limit: oldConnectionLimit + time.Minute, Every: time.Second}
	return wait.Until(ctx, "connections of a former identity to kubelets to end", options, func(ctx context.Context) error {
		if time.Since(begun) > oldConnectionLimit {
			return nil // what is left has the same ends as an old one by chance: those were ended
		}
		for _, node := range j.target.controlPlanes() {
			if len(old[node.Name()]) == 0 {
				continue
			}
			open, err := kubeletConnections(ctx, j.target, node)
			if err != nil {
				return err
			}
			old[node.Name()] = slices.DeleteFunc(old[node.Name()], func(c string) bool { return !slices.Contains(open, c) })
			if left := len(old[node.Name()]); left > 0 {
				return fmt.Errorf("the apiserver of node %s has %d", node.Name(), left)
			}
		}
		return nil
	})
}
