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

// towards are those that were begun with a node, or one of its pods.
func towards(flows []flow.Flow, node *cluster.Node, pods []netip.Prefix) []flow.Flow {
	return slices.DeleteFunc(slices.Clone(flows), func(f flow.Flow) bool {
		to, err := netip.ParseAddr(f.To)
		return err != nil || !slices.Contains(node.Addresses(), to) &&
			!slices.ContainsFunc(pods, func(cidr netip.Prefix) bool { return cidr.Contains(to) })
	})
}

// flows are the connections that control planes begin with the worker and its pods while apiservers go every way to it, as
// captures of their packets show them: those that lead into the tunnel, and those that go past it.
func (l *lab) flows(ctx context.Context, t *testing.T) (into, past []flow.Flow) {
	t.Helper()
	for name, direct := range l.eachAPIServer(ctx, t) {
		all, err := captured(ctx, direct.controlPlane(), func() error {
			if l.kind.anew != nil {
				if err := l.kind.anew(ctx, direct); err != nil {
					return err
				}
			}
			return direct.waitAllWork(ctx)
		})
		require.NoError(t, err)
		found := towards(all, l.worker(), l.workerPods)
		t.Logf("node %s began %d connections with others, of these with the worker and its pods: %v", name, len(all), found)
		for _, one := range found {
			if to, err := netip.ParseAddr(one.To); err == nil && one.Port == l.port() && slices.Contains(l.worker().Addresses(), to) {
				into = append(into, one)
			} else {
				past = append(past, one)
			}
		}
	}
	return into, past
}
