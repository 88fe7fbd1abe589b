package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// What counts connections at each place that they pass (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/metrics/metrics.go; apiserver-network-proxy v0.36.0,
// pkg/server/metrics/metrics.go and pkg/agent/metrics/metrics.go).
const (
	ofApiserver = "apiserver_egress_dialer_dial_start_total"
	ofServer    = "konnectivity_network_proxy_server_dial_duration_seconds_count"
	ofAgent     = "konnectivity_network_proxy_agent_dial_duration_seconds_count"
	ofSSHProxy  = "kubecomm_ssh_proxy_dials_total"
	ofSSHServer = "kubecomm_ssh_server_forwards_total"
)

// dials are the connections that were counted so far, by metric. Those of what is on each node are of all nodes together.
func (l *lab) dials(ctx context.Context) (map[string]int, error) {
	data, err := l.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("the apiserver's metrics: %w", err)
	}
	counted, err := l.kind.dials(ctx, l)
	if err != nil {
		return nil, err
	}
	counted[ofApiserver] = sum(data, ofApiserver)
	return counted, nil
}

func (l *lab) konnectivityDials(ctx context.Context) (map[string]int, error) {
	data, err := metricsOn(ctx, l.controlPlane(), konnectivity.HealthPort)
	if err != nil {
		return nil, err
	}
	counted := map[string]int{ofServer: sum(data, ofServer)}
	containers := len(l.cluster.ControlPlanes())
	if l.variant.counts == konnectivity.Leases {
		containers = 1
	}
	for _, node := range l.cluster.Nodes() {
		for i := range containers {
			if data, err = metricsOn(ctx, node, konnectivity.AgentHealthPort+2*i); err != nil {
				return nil, err
			}
			counted[ofAgent] += sum(data, ofAgent)
		}
	}
	return counted, nil
}

func metricsOn(ctx context.Context, node *cluster.Node, port int) ([]byte, error) {
	data, err := node.Run(ctx, cluster.Command{Args: []string{"curl", "-sSf", "http://127.0.0.1:" + strconv.Itoa(port) + "/metrics"}})
	if err != nil {
		return nil, fmt.Errorf("the metrics at port %d of node %s: %w", port, node.Name(), err)
	}
	return data, nil
}

func (l *lab) sshDials(ctx context.Context) (map[string]int, error) {
	data, err := metricsOn(ctx, l.controlPlane(), ssh.ProxyHealthPort)
	if err != nil {
		return nil, err
	}
	counted := map[string]int{ofSSHProxy: sum(data, ofSSHProxy)}
	for _, node := range l.cluster.Nodes() {
		if data, err = metricsOn(ctx, node, ssh.ServerHealthPort); err != nil {
			return nil, err
		}
		counted[ofSSHServer] += sum(data, ofSSHServer)
	}
	return counted, nil
}

// sum adds a metric up over those of its labels that have what is asked for, such as `reason="key"`.
func sum(data []byte, name string, having ...string) int {
	total := 0.0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		bare, labels, _ := strings.Cut(fields[0], "{")
		lacks := func(label string) bool { return !strings.Contains(labels, label) }
		if bare != name || slices.ContainsFunc(having, lacks) {
			continue
		}
		if value, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
			total += value
		}
	}
	return int(total)
}
