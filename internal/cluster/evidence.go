package cluster

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	kindexec "sigs.k8s.io/kind/pkg/exec"
)

const (
	// evidenceLines is how many lines of a failed command explain it.
	evidenceLines = 15
	// evidenceLimit bounds the search on the nodes of a cluster that is broken.
	evidenceLimit = 20 * time.Second
)

// noise is what kubeadm prints at kind's verbosity besides its reasons: informational lines, and the stack of an error,
// in which a function's line is followed by an indented one with its place in the source.
var noise = regexp.MustCompile(`^(?:[IW]\d{4} .*|\s+/?[\w./@-]+\.(?:go|s):\d+.*|[\w./-]+\.(?:\(\*?\w+\)\.)?[\w.]+(?:\(.*\))?)$`)

// lastLines returns the last lines of a command's output that say something, redacted.
func lastLines(output string, count int) []string {
	var lines []string
	for line := range strings.Lines(Redact(output)) {
		line = strings.TrimRight(line, " \r\n")
		if line != "" && !noise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-count):]
}

// commandEvidence is what the command printed on whose failure kind gave up.
func commandEvidence(err error) []string {
	run := kindexec.RunErrorForError(err)
	if run == nil {
		return nil
	}
	return lastLines(string(run.Output), evidenceLines)
}

// nodeScript prints why the node's components don't run: the kubelet's errors and the last lines of containers that
// ended. It has no output on a healthy node.
const nodeScript = `
journalctl --unit=kubelet.service --no-pager --output=cat --lines=200 2>/dev/null |
  grep -E '^E[0-9]{4} ' | sed -E 's/^E[0-9]{4} [0-9:.]+ +[0-9]+ /kubelet: /' | tail -n 20
crictl ps --all --state=Exited --quiet 2>/dev/null | head -n 3 | while read -r id; do
  name=$(crictl inspect --output=go-template --template='{{.status.metadata.name}}' "$id" 2>/dev/null)
  logs=$(crictl logs --tail=50 "$id" 2>&1)
  reasons=$(echo "$logs" | grep -vE '^[IW][0-9]{4} ')
  echo "${reasons:-$logs}" | tail -n 3 | sed "s/^/$name: /"
done
exit 0`

// nodeEvidence asks every node of a half-made cluster what is wrong with it. It finds what it can: a node may not have
// come so far.
func nodeEvidence(ctx context.Context, provider *kind.Provider, cluster string) []string {
	ctx, cancel := context.WithTimeout(ctx, evidenceLimit)
	defer cancel()
	containers, err := provider.ListInternalNodes(cluster)
	if err != nil {
		return nil
	}
	var evidence []string
	for _, container := range containers {
		for _, line := range explainNode(ctx, container) {
			evidence = append(evidence, fmt.Sprintf("%s: %s", container, line))
		}
	}
	return evidence
}

// explainNode returns a few lines about a node. One whose container ended is explained by the container's own log.
func explainNode(ctx context.Context, container nodes.Node) []string {
	var output bytes.Buffer
	err := container.CommandContext(ctx, "timeout", "10", "bash", "-c", nodeScript).SetStdout(&output).Run()
	if err == nil {
		return distinctLast(lastLines(output.String(), 50), 5)
	}
	var log bytes.Buffer
	if container.SerialLogs(&log) != nil {
		return nil
	}
	return lastLines(log.String(), 5)
}

// sourcePlace is the part of a component's log line that differs between repetitions of the same complaint.
var sourcePlace = regexp.MustCompile(`\w+\.go:\d+\] `)

// distinctLast returns the last lines without repetitions: components say the same thing over and over.
func distinctLast(lines []string, count int) []string {
	var distinct []string
	for _, line := range slices.Backward(lines) {
		line = sourcePlace.ReplaceAllString(line, "")
		if !slices.Contains(distinct, line) && len(distinct) < count {
			distinct = append(distinct, line)
		}
	}
	slices.Reverse(distinct)
	return distinct
}
