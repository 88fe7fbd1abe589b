package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// unitsOf are the units that a node of a cluster with SSH tunnels has.
func unitsOf(node *cluster.Node) []string {
	if node.Role() == cluster.ControlPlane {
		return []string{ssh.ServerService, ssh.ProxyService}
	}
	return []string{ssh.ServerService}
}

func (l *lab) sshCauses() []cause {
	return append([]cause{
		{sshServerKilled, func(ctx context.Context) error { return l.killUnit(ctx, l.worker(), ssh.ServerService) }},
		{"all servers are killed", func(ctx context.Context) error {
			for _, node := range l.cluster.Nodes() {
				if err := l.killUnit(ctx, node, ssh.ServerService); err != nil {
					return err
				}
			}
			return nil
		}},
		{sshProxyKilled, func(ctx context.Context) error { return l.killUnit(ctx, l.controlPlane(), ssh.ProxyService) }},
		{"the link to the worker is cut until that is noticed", l.cutLink},
	}, l.restarts()...)
}

// killUnit ends a unit's process as a crash would.
func (l *lab) killUnit(ctx context.Context, node *cluster.Node, unit string) error {
	pid, err := mainPID(ctx, node, unit)
	if err == nil {
		err = l.on(ctx, node, `kill -9 "$1"`, strconv.Itoa(pid))
	}
	if err != nil {
		return fmt.Errorf("killing %s on node %s: %w", unit, node.Name(), err)
	}
	return nil
}

func mainPID(ctx context.Context, node *cluster.Node, unit string) (int, error) {
	text, err := said(ctx, node, `systemctl show --property MainPID --value "$1"`, unit)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err == nil && pid <= 1 {
		err = errors.New("it doesn't run")
	}
	return pid, err
}

// stopServer stops the worker's server, and closes its port.
func (l *lab) stopServer(ctx context.Context) error {
	return l.on(ctx, l.worker(), `systemctl stop "$@"`, ssh.ServerSocket, ssh.ServerService)
}

func (l *lab) startServer(ctx context.Context) error {
	return l.on(ctx, l.worker(), `systemctl start "$@"`, ssh.ServerSocket, ssh.ServerService)
}

const (
	cutTable = "kubecomm_cut"
	// cutRules have nothing pass between proxies and a server, in either direction, and nobody is told.
	cutRules = `table inet ` + cutTable + ` {
chain input { type filter hook input priority 0; policy accept; tcp dport %[1]d drop; }
chain output { type filter hook output priority 0; policy accept; tcp sport %[1]d drop; }
}
`
)

// cutLink cuts the worker off its proxies until that of the control plane has noticed.
func (l *lab) cutLink(ctx context.Context) (err error) {
	rules := strings.NewReader(fmt.Sprintf(cutRules, l.sshPort()))
	if _, err := l.worker().Run(ctx, cluster.Command{Args: []string{"nft", "-f", "-"}, Stdin: rules}); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, l.on(context.WithoutCancel(ctx), l.worker(), `nft delete table inet "$1"`, cutTable))
	}()
	return l.waitProxy(ctx, "the proxy to notice that the link is cut", func(status proxy.Status) error {
		if node := statusOf(status, l.worker()); node.Connected {
			return errors.New("it says that it is connected")
		}
		return nil
	})
}

// reconnect has the control plane's proxy connect to all nodes anew.
func (l *lab) reconnect(ctx context.Context) error {
	before, err := mainPID(ctx, l.controlPlane(), ssh.ProxyService)
	if err != nil {
		return err
	}
	if err := l.killUnit(ctx, l.controlPlane(), ssh.ProxyService); err != nil {
		return err
	}
	return l.waitProxy(ctx, "the proxy to be connected to all nodes again", func(status proxy.Status) error {
		switch now, err := mainPID(ctx, l.controlPlane(), ssh.ProxyService); {
		case err != nil:
			return err
		case now == before:
			return errors.New("its process hasn't ended yet")
		case !status.Ready() || len(status.Nodes) != len(l.cluster.Nodes()):
			return fmt.Errorf("it says: %+v", status)
		}
		return nil
	})
}

// proxyStatus is what the control plane's proxy says of itself.
func (l *lab) proxyStatus(ctx context.Context) (proxy.Status, error) {
	var status proxy.Status
	// Also of what isn't ready the status is wanted.
	text, err := said(ctx, l.controlPlane(), `curl -sS "http://127.0.0.1:$1/readyz"`, strconv.Itoa(ssh.ProxyHealthPort))
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return status, fmt.Errorf("what the proxy says of itself, %q: %w", text, err)
	}
	return status, nil
}

func (l *lab) waitProxy(ctx context.Context, what string, condition func(proxy.Status) error) error {
	return wait.Until(ctx, what, wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		status, err := l.proxyStatus(ctx)
		if err != nil {
			return err
		}
		return condition(status)
	})
}

// statusOf is how a node is connected.
func statusOf(status proxy.Status, node *cluster.Node) proxy.NodeStatus {
	i := slices.IndexFunc(status.Nodes, func(each proxy.NodeStatus) bool { return each.Name == node.Name() })
	if i < 0 {
		return proxy.NodeStatus{Name: node.Name(), Error: "the proxy doesn't know it"}
	}
	return status.Nodes[i]
}

// logOf is what a unit has logged.
func logOf(ctx context.Context, node *cluster.Node, unit string) (string, error) {
	return said(ctx, node, `journalctl --no-pager --output cat --unit "$1"`, unit)
}

// waitLogged waits until a unit has logged something: what it says comes to be in the journal a little later.
func waitLogged(ctx context.Context, node *cluster.Node, unit, what string) error {
	return wait.Until(ctx, unit+" to log "+what, wait.Options{Limit: 10 * time.Second}, func(ctx context.Context) error {
		text, err := logOf(ctx, node, unit)
		if err == nil && !strings.Contains(text, what) {
			lines := strings.Split(strings.TrimSpace(text), "\n")
			err = fmt.Errorf("the end of its log:\n%s", strings.Join(lines[max(0, len(lines)-5):], "\n"))
		}
		return err
	})
}
