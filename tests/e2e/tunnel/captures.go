package tunnel

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/tunnel/flow"
)

const (
	captureProgram = "/usr/local/bin/kubecomm-capture" // nothing in /run may be run
	// outside is the interface of a node's that leads to other nodes.
	outside = "eth0"
)

// giveCapture puts the program into every control plane.
func (l *lab) giveCapture(ctx context.Context, t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "capture")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./capture")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	data, err := os.ReadFile(program)
	require.NoError(t, err)
	for _, node := range l.cluster.ControlPlanes() {
		require.NoError(t, node.WriteFile(ctx, captureProgram, cluster.File{Data: data, Mode: 0o755}))
	}
}

// captured returns which connections a node began with others while do did something.
func captured(ctx context.Context, node *cluster.Node, do func() error) ([]flow.Flow, error) {
	capture, err := node.Attach(ctx, cluster.Command{Args: []string{captureProgram, outside}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = capture.Close() }()
	lines := bufio.NewScanner(capture)
	if !lines.Scan() {
		return nil, fmt.Errorf("the capture on node %s didn't begin: %w", node.Name(), lines.Err())
	}
	var found []flow.Flow
	read := make(chan error, 1)
	go func() { read <- readFlows(lines, node, &found) }()
	if err := do(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(capture, "end"); err != nil {
		return nil, err
	}
	err = <-read
	return found, err
}

// readFlows keeps those that the node itself began.
func readFlows(lines *bufio.Scanner, node *cluster.Node, found *[]flow.Flow) error {
	for lines.Scan() {
		var one flow.Flow
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return fmt.Errorf("what the capture on node %s wrote: %w", node.Name(), err)
		}
		if from, err := netip.ParseAddr(one.From); err == nil && slices.Contains(node.Addresses(), from) {
			*found = append(*found, one)
		}
	}
	return lines.Err()
}

// toKubelet are those that were begun with the kubelet of a node.
func toKubelet(flows []flow.Flow, node *cluster.Node) []flow.Flow {
	return slices.DeleteFunc(slices.Clone(flows), func(f flow.Flow) bool {
		to, err := netip.ParseAddr(f.To)
		return err != nil || f.Port != 10250 || !slices.Contains(node.Addresses(), to)
	})
}
