package apply

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

const notRunningStatus = 44

// findScript begins scripts that look for the running container of a control plane component: by what the kubelet says
// of it, not by a process name, which any pod may take. crictl gives up after 2 s unless it is told otherwise, which a
// busy machine may need.
const findScript = `find_container() {
  crictl --timeout 30s ps --state Running --latest --quiet --name "^$1$" --label io.kubernetes.pod.namespace=kube-system
}
`

// componentsScript prints, of each container with one of the names, a line with the name and its process's command line
// in hexadecimal.
const componentsScript = `names=$(IFS='|'; echo "$*")
ids=$(crictl --timeout 30s ps --state Running --quiet --name "^($names)$" --label io.kubernetes.pod.namespace=kube-system) || exit
for id in $ids; do
  crictl --timeout 30s inspect --output go-template --template '{{.status.metadata.name}} {{.info.pid}}' "$id"
done | while read -r name pid; do
  [ ! -r "/proc/$pid/cmdline" ] || echo "$name $(od -An -v -tx1 "/proc/$pid/cmdline" | tr -d ' \n')"
done`

// runningComponents returns the flags of the components' processes. One that doesn't run is missing.
func runningComponents(
	ctx context.Context, node Node, components ...settings.Component,
) (map[settings.Component]controlplane.Flags, error) {
	args := []string{"sh", "-c", componentsScript, "sh"}
	for _, component := range components {
		args = append(args, string(component))
	}
	output, err := node.Run(ctx, cluster.Command{Args: args})
	if err != nil {
		return nil, fmt.Errorf("looking at the control plane's processes on node %s: %w", node.Name(), err)
	}
	found := map[settings.Component]controlplane.Flags{}
	for line := range strings.Lines(string(output)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		cmdline, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("looking at the control plane's processes on node %s: %q: %w", node.Name(), line, err)
		}
		found[settings.Component(name)] = controlplane.ParseCommandLine(cmdline)
	}
	return found, nil
}

// kubeletProcess is a kubelet that runs.
type kubeletProcess struct {
	flags controlplane.Flags
	start int64 // in seconds since 1970, by the node's clock
	stale bool  // its configuration file was changed in a later second than it started in
}

// kubeletScript prints when the kubelet started and when its configuration file was changed, as whole seconds, and its
// command line.
const kubeletScript = `pid=$(systemctl show --property MainPID --value kubelet) || exit
[ "$pid" != 0 ] || exit 44
start=$(systemctl show --property ExecMainStartTimestamp --timestamp=unix --value kubelet) || exit
echo "${start#@} $(stat -c %Y -- "$1")" && exec cat "/proc/$pid/cmdline"`

func runningKubelet(ctx context.Context, node Node) (kubeletProcess, error) {
	output, err := runUnlessAbsent(ctx, node, kubeletScript, kubelet.ConfigFile)
	if errors.Is(err, errNotRunning) {
		return kubeletProcess{}, fmt.Errorf("the kubelet doesn't run on node %s: %w", node.Name(), ErrNodeDown)
	}
	if err != nil {
		return kubeletProcess{}, fmt.Errorf("looking at the running kubelet: %w", err)
	}
	times, cmdline, _ := bytes.Cut(output, []byte("\n"))
	var start, changed int64
	if _, err := fmt.Sscan(string(times), &start, &changed); err != nil {
		return kubeletProcess{}, fmt.Errorf("looking at the running kubelet of node %s: %q: %w", node.Name(), times, err)
	}
	return kubeletProcess{flags: controlplane.ParseCommandLine(cmdline), start: start, stale: changed > start}, nil
}

var errNotRunning = errors.New("not running")

// runUnlessAbsent runs a script that exits with notRunningStatus where what it looks for doesn't run.
func runUnlessAbsent(ctx context.Context, node Node, script string, args ...string) ([]byte, error) {
	output, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", script, "sh"}, args...)})
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && failure.Code == notRunningStatus {
		return nil, errNotRunning
	}
	return output, err
}

// complaintScript begins scripts that print the end of a log in klog's format, without what is mere information if
// anything else is there: a component goes on telling of its start after the line that matters.
const complaintScript = `complaints() {
  log=$(tail -n 300)
  printf '%s\n' "$log" | grep -v '^I[0-9]' | tail -n 15 | grep . || printf '%s\n' "$log" | tail -n 15
}
`

// logScript prints the end of the newest apiserver container's log, running or not.
const logScript = complaintScript + `id=$(crictl --timeout 30s ps --all --latest --quiet --name "^$1$" \
  --label io.kubernetes.pod.namespace=kube-system) && [ -n "$id" ] || exit
crictl --timeout 30s logs --tail 300 "$id" 2>&1 | complaints`

// lastLog returns the end of the apiserver's log, as good as it can be had: it explains another error.
func lastLog(ctx context.Context, server instance) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	output, err := server.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", logScript, "sh", server.container}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}

// startsScript prints when a manifest appeared, in nanoseconds since 1970, and what the runtime knows of its containers.
const startsScript = `systemctl is-active --quiet kubelet || exit 44
date --reference "$1" +%s%N && crictl --timeout 30s ps --all --output json --name "^$2$" \
  --label io.kubernetes.pod.namespace=kube-system`

// containerList is what startsScript prints in its second line.
type containerList struct {
	Containers []struct {
		State     string `json:"state"`
		CreatedAt string `json:"createdAt"`
		Metadata  struct {
			Attempt int `json:"attempt"`
		} `json:"metadata"`
	} `json:"containers"`
}

// checkNotEnded finds what no waiting mends: an instance that keeps ending instead of becoming ready, which is one of
// whose containers, started from the manifest, one ended and so did another in its place; or a kubelet that doesn't run.
func checkNotEnded(ctx context.Context, server instance, file string) error {
	output, err := runUnlessAbsent(ctx, server.node, startsScript, file, server.container)
	if errors.Is(err, errNotRunning) {
		return wait.Final(fmt.Errorf("the kubelet doesn't run on node %s", server.node.Name()))
	}
	if err != nil {
		return err
	}
	since, list, _ := bytes.Cut(output, []byte("\n"))
	var known containerList
	if err := json.Unmarshal(list, &known); err != nil {
		return fmt.Errorf("listing the containers of %s on node %s: %w", server.container, server.node.Name(), err)
	}
	for _, container := range known.Containers {
		// Numbers of so many digits compare as texts.
		if container.CreatedAt > string(since) && container.State == "CONTAINER_EXITED" && container.Metadata.Attempt > 0 {
			return wait.Final(errors.New("it ends as soon as it is started"))
		}
	}
	return nil
}
