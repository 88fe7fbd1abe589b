package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

const notRunningStatus = 44

// crictl gives up after 2 s unless it is told otherwise, which a busy machine may need.
//
// apiserverScript finds the apiserver's container by what the kubelet says of it, not by a process name, which any pod
// may take.
const apiserverScript = `id=$(crictl --timeout 30s ps --state Running --latest --quiet --name '^kube-apiserver$' \
  --label io.kubernetes.pod.namespace=kube-system) || exit
[ -n "$id" ] || exit 44
pid=$(crictl --timeout 30s inspect --output go-template --template '{{.info.pid}}' "$id") || exit
exec cat "/proc/$pid/cmdline"`

const kubeletScript = `pid=$(systemctl show --property MainPID --value kubelet) || exit
[ "$pid" != 0 ] || exit 44
exec cat "/proc/$pid/cmdline"`

// runningAPIServerFlags returns the flags of the running apiserver, or an error that wraps ErrAPIUnavailable.
func runningAPIServerFlags(ctx context.Context, node Node) (controlplane.Flags, error) {
	flags, err := runningFlags(ctx, node, apiserverScript)
	if errors.Is(err, errNotRunning) {
		return nil, fmt.Errorf("no kube-apiserver runs on node %s: %w", node.Name(), ErrAPIUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the flags of the running kube-apiserver: %w", err)
	}
	return flags, nil
}

func runningKubeletFlags(ctx context.Context, node Node) (controlplane.Flags, error) {
	flags, err := runningFlags(ctx, node, kubeletScript)
	if errors.Is(err, errNotRunning) {
		return nil, fmt.Errorf("the kubelet doesn't run on node %s: %w", node.Name(), ErrNodeDown)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the flags of the running kubelet: %w", err)
	}
	return flags, nil
}

var errNotRunning = errors.New("not running")

func runningFlags(ctx context.Context, node Node, script string) (controlplane.Flags, error) {
	cmdline, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", script}})
	var failure *cluster.CommandError
	if errors.As(err, &failure) && failure.Code == notRunningStatus {
		return nil, errNotRunning
	}
	if err != nil {
		return nil, err
	}
	return controlplane.ParseCommandLine(cmdline), nil
}

// logScript prints the end of the newest apiserver container's log, running or not.
const logScript = `id=$(crictl --timeout 30s ps --all --latest --quiet --name '^kube-apiserver$' \
  --label io.kubernetes.pod.namespace=kube-system) && [ -n "$id" ] && crictl --timeout 30s logs --tail 15 "$id" 2>&1`

// lastLog returns the end of the apiserver's log, as good as it can be had: it explains another error.
func lastLog(ctx context.Context, node Node) string {
	output, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", logScript}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}
