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

// findScript begins scripts that look for the running container of a control plane component: by what the kubelet says
// of it, not by a process name, which any pod may take. crictl gives up after 2 s unless it is told otherwise, which a
// busy machine may need.
const findScript = `find_container() {
  crictl --timeout 30s ps --state Running --latest --quiet --name "^$1$" --label io.kubernetes.pod.namespace=kube-system
}
`

const apiserverScript = findScript + `id=$(find_container "$1") || exit
[ -n "$id" ] || exit 44
pid=$(crictl --timeout 30s inspect --output go-template --template '{{.info.pid}}' "$id") || exit
exec cat "/proc/$pid/cmdline"`

const kubeletScript = `pid=$(systemctl show --property MainPID --value kubelet) || exit
[ "$pid" != 0 ] || exit 44
exec cat "/proc/$pid/cmdline"`

// runningAPIServerFlags returns the flags of the apiserver that runs in a container of that name, or an error that wraps
// ErrAPIUnavailable.
func runningAPIServerFlags(ctx context.Context, node Node, container string) (controlplane.Flags, error) {
	flags, err := runningFlags(ctx, node, apiserverScript, container)
	if errors.Is(err, errNotRunning) {
		return nil, fmt.Errorf("no %s runs on node %s: %w", container, node.Name(), ErrAPIUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the flags of the running %s: %w", container, err)
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

func runningFlags(ctx context.Context, node Node, script string, args ...string) (controlplane.Flags, error) {
	cmdline, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", script, "sh"}, args...)})
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
const logScript = `id=$(crictl --timeout 30s ps --all --latest --quiet --name "^$1$" \
  --label io.kubernetes.pod.namespace=kube-system) && [ -n "$id" ] && crictl --timeout 30s logs --tail 15 "$id" 2>&1`

// lastLog returns the end of the apiserver's log, as good as it can be had: it explains another error.
func lastLog(ctx context.Context, server instance) string {
	output, err := server.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", logScript, "sh", server.container}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}
