package leak

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// folders are where a node may keep files of its own; container images and the kernel's file systems are left out.
var folders = []string{
	"/etc", "/home", "/kind", "/opt", "/root", "/srv", "/tmp", "/usr/local", "/var/lib/etcd", "/var/lib/kubelet",
	"/var/log", "/var/tmp",
}

// searchScript lists the files that hold a line of its standard input. grep says 1 where it finds nothing, and 2 where
// a file goes away meanwhile or a folder isn't there, which is no failure.
const searchScript = `kind=$1; shift
grep --recursive --files-with-matches --fixed-strings --no-messages --devices=skip --binary-files="$kind" --file=- -- "$@"
[ $? -le 2 ]`

// Files returns the node's files that hold a piece of the key, sorted.
func (k Key) Files(ctx context.Context, node *cluster.Node) ([]string, error) {
	return search(ctx, node, "text", k.pieces...)
}

// KeyFiles returns the node's files that hold any private key in PEM, sorted.
func KeyFiles(ctx context.Context, node *cluster.Node) ([]string, error) {
	return search(ctx, node, "without-match", "PRIVATE KEY-----") // programs hold these words too
}

// search passes what it looks for by standard input, so that no key shows in a process list.
func search(ctx context.Context, node *cluster.Node, binary string, pieces ...string) ([]string, error) {
	output, err := node.Run(ctx, cluster.Command{
		Args:  append([]string{"sh", "-c", searchScript, "sh", binary}, folders...),
		Stdin: strings.NewReader(strings.Join(pieces, "\n") + "\n"),
	})
	if err != nil {
		return nil, fmt.Errorf("searching node %s: %w", node.Name(), err)
	}
	files := strings.Fields(string(output))
	slices.Sort(files)
	return files, nil
}
