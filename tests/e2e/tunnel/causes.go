package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// cause is what ends sessions through a tunnel.
type cause struct {
	name string
	// make returns when the cause is gone: from then on it is for the tunnel to work again.
	make func(context.Context) error
}

// Causes that every variant of the cluster has.
const (
	agentKilled     = "an agent is killed"
	serverKilled    = "the server is killed"
	sshServerKilled = "the worker's server is killed"
	sshProxyKilled  = "the proxy is killed"
)

// atOnce are those.
func atOnce(c cause) bool {
	return slices.Contains([]string{agentKilled, serverKilled, sshServerKilled, sshProxyKilled}, c.name)
}

func (l *lab) konnectivityCauses() []cause {
	const (
		agent  = "to-"
		server = konnectivity.ServerName
	)
	kill := func(ctx context.Context, nodes ...*cluster.Node) error {
		if err := l.freshAgents(ctx); err != nil {
			return err
		}
		for _, node := range nodes {
			if err := l.kill(ctx, node, agent); err != nil {
				return err
			}
		}
		return nil
	}
	return append([]cause{
		{agentKilled, func(ctx context.Context) error { return kill(ctx, l.worker()) }},
		{"all agents are deleted", func(ctx context.Context) error {
			now := int64(0)
			return l.deleteAgents(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now})
		}},
		{"all agents are killed", func(ctx context.Context) error { return kill(ctx, l.cluster.Nodes()...) }},
		{serverKilled, func(ctx context.Context) error { return l.kill(ctx, l.controlPlane(), server) }},
	}, l.restarts()...)
}

// restarts are what ends sessions through any tunnel.
func (l *lab) restarts() []cause {
	return []cause{
		{"the apiserver is restarted", func(ctx context.Context) error {
			if err := l.kill(ctx, l.controlPlane(), "kube-apiserver"); err != nil {
				return err
			}
			return l.waitAPI(ctx)
		}},
		{"the worker is restarted", func(ctx context.Context) error { return l.restart(ctx, l.worker()) }},
		{"the control plane is restarted", func(ctx context.Context) error {
			if err := l.restart(ctx, l.controlPlane()); err != nil {
				return err
			}
			return l.waitAPI(ctx)
		}},
	}
}

// endedScript tells whether a running agent's container was started in the place of one that ended.
const endedScript = `crictl --timeout 30s ps --state Running --name '^to-' --output json | grep --only-matching '"attempt": [1-9].*' || :`

// freshAgents has agents replaced if one of them has ended by itself before: the kubelet makes a pause before it starts a
// container that ended for a second time.
func (l *lab) freshAgents(ctx context.Context) error {
	for _, node := range l.cluster.Nodes() {
		ended, err := said(ctx, node, endedScript)
		if err != nil {
			return err
		}
		if ended == "" {
			continue
		}
		if err := l.deleteAgents(ctx, metav1.DeleteOptions{}); err != nil {
			return err
		}
		return l.waitAgents(ctx)
	}
	return nil
}

// waitAgents waits until every node has an agent that is ready. That everything works may be others' doing.
func (l *lab) waitAgents(ctx context.Context) error {
	options := wait.Options{Limit: 2 * time.Minute, Every: time.Second}
	return wait.Until(ctx, "every node to have an agent that is ready", options, func(ctx context.Context) error {
		pods, err := l.agents(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, pod := range pods {
			if pod.DeletionTimestamp == nil && workload.Ready(&pod) == nil {
				ready++
			}
		}
		if want := len(l.cluster.Nodes()); ready < want {
			return fmt.Errorf("%d of %d are ready", ready, want)
		}
		return nil
	})
}

// deleteAgents returns when none of those that were there runs any more.
func (l *lab) deleteAgents(ctx context.Context, options metav1.DeleteOptions) error {
	before := map[string]bool{}
	for _, node := range l.cluster.Nodes() {
		ids, err := l.agentsOn(ctx, node)
		if err != nil {
			return err
		}
		for _, id := range ids {
			before[id] = true
		}
	}
	err := l.client.CoreV1().Pods(konnectivity.Namespace).DeleteCollection(ctx,
		options, metav1.ListOptions{LabelSelector: "k8s-app=konnectivity-agent"})
	if err != nil {
		return err
	}
	return wait.Until(ctx, "the deleted agents to end", wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		for _, node := range l.cluster.Nodes() {
			ids, err := l.agentsOn(ctx, node)
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(ids, func(id string) bool { return before[id] }); i >= 0 {
				return fmt.Errorf("container %s still runs on node %s", ids[i], node.Name())
			}
		}
		return nil
	})
}

// agentsOn are the containers of agents that run on a node.
func (l *lab) agentsOn(ctx context.Context, node *cluster.Node) ([]string, error) {
	output, err := node.Run(ctx, cluster.Command{Args: []string{
		"crictl", "--timeout", "30s", "ps", "--state", "Running", "--quiet", "--name", "^to-",
	}})
	return strings.Fields(string(output)), err
}

// killScript ends the processes of the running containers whose names begin so, as a crash would.
const killScript = `pids=$(crictl --timeout 30s ps --state Running --quiet --name "^$1" | while read -r id; do
  crictl --timeout 30s inspect --output go-template --template '{{.info.pid}}' "$id"
done)
[ -n "$pids" ]
kill -9 $pids`

func (l *lab) kill(ctx context.Context, node *cluster.Node, name string) error {
	if err := l.on(ctx, node, killScript, name); err != nil {
		return fmt.Errorf("killing %s on node %s: %w", name, node.Name(), err)
	}
	return nil
}

// restartScript ends everything that runs on a node in pods, and what runs them, as when its power fails, and starts it again.
// To restart the container that is the node would be the same, but the engine may give it another address, which is another
// matter: kubelets' certificates name the address.
const restartScript = `units=$(systemctl list-units --all --plain --no-legend --full 'kubecomm-ssh-*' | cut -d ' ' -f 1)
systemctl stop kubelet containerd $units
find /sys/fs/cgroup -path '*pod*' -name cgroup.procs -exec cat {} + | sort -u | xargs --no-run-if-empty kill -9 || :
pkill -9 containerd-shim || :
systemctl start containerd kubelet $units`

// restart returns when the kubelet answers again and the node's pod runs, without either of which there is nothing to talk to.
func (l *lab) restart(ctx context.Context, node *cluster.Node) error {
	before, err := l.startOfPod(ctx, node)
	if err != nil {
		return err
	}
	if err := l.on(ctx, node, restartScript); err != nil {
		return fmt.Errorf("restarting node %s: %w", node.Name(), err)
	}
	what := "the kubelet and the pod of node " + node.Name()
	return wait.Until(ctx, what, wait.Options{Limit: 3 * time.Minute}, func(ctx context.Context) error {
		if err := l.on(ctx, node, "curl -sSf http://127.0.0.1:10248/healthz >/dev/null"); err != nil {
			return err
		}
		after, err := l.startOfPod(ctx, node)
		if err == nil && (after == "" || after == before) {
			err = errors.New("its pod isn't started yet")
		}
		return err
	})
}

// startOfPod is when the node's pod was started; empty if it doesn't run.
func (l *lab) startOfPod(ctx context.Context, node *cluster.Node) (string, error) {
	output, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-ec", `crictl --timeout 30s ps --state Running --quiet --name '^listener$' |
  while read -r id; do crictl --timeout 30s inspect --output go-template --template '{{.status.startedAt}}' "$id"; done`}})
	return strings.TrimSpace(string(output)), err
}

func (l *lab) waitAPI(ctx context.Context) error {
	return wait.Until(ctx, "the apiserver to be ready", wait.Options{Limit: 2 * time.Minute}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return l.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}
