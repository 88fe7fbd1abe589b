package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// What counts connections at each place that they pass (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/metrics/metrics.go; apiserver-network-proxy v0.36.0,
// pkg/server/metrics/metrics.go and pkg/agent/metrics/metrics.go).
const (
	ofApiserver = "apiserver_egress_dialer_dial_start_total"
	ofServer    = "konnectivity_network_proxy_server_dial_duration_seconds_count"
	ofAgent     = "konnectivity_network_proxy_agent_dial_duration_seconds_count"
)

// dials are the connections that were counted so far, by metric. Those of agents are of all nodes together.
func (l *lab) dials(ctx context.Context) (map[string]int, error) {
	counted := map[string]int{}
	data, err := l.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("the apiserver's metrics: %w", err)
	}
	counted[ofApiserver] = sum(data, ofApiserver)
	if data, err = metricsOn(ctx, l.controlPlane(), konnectivity.HealthPort); err != nil {
		return nil, err
	}
	counted[ofServer] = sum(data, ofServer)
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

// sum adds a metric up over its labels.
func sum(data []byte, name string) int {
	total := 0.0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if bare, _, _ := strings.Cut(fields[0], "{"); bare != name {
			continue
		}
		if value, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
			total += value
		}
	}
	return int(total)
}
