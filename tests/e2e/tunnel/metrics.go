package tunnel

import (
	"context"
	"fmt"
	"strconv"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
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
	counted[ofApiserver], err = metrics.Sum(data, ofApiserver, nil)
	return counted, err
}

func (l *lab) konnectivityDials(ctx context.Context) (map[string]int, error) {
	ports := []int{konnectivity.AgentHealthPort}
	if l.variant.counts != konnectivity.Leases {
		for i := range l.cluster.ControlPlanes()[1:] {
			ports = append(ports, konnectivity.AgentHealthPort+2*(i+1))
		}
	}
	return l.dialsOnNodes(ctx, ofServer, konnectivity.HealthPort, ofAgent, ports...)
}

func (l *lab) sshDials(ctx context.Context) (map[string]int, error) {
	return l.dialsOnNodes(ctx, ofSSHProxy, ssh.ProxyHealthPort, ofSSHServer, ssh.ServerHealthPort)
}

// dialsOnNodes are those that the control plane's end of a tunnel has counted, and the ends of all nodes together.
func (l *lab) dialsOnNodes(ctx context.Context, near string, port int, far string, ports ...int) (map[string]int, error) {
	ofNear, err := counter(ctx, l.controlPlane(), port, near, nil)
	if err != nil {
		return nil, err
	}
	counted := map[string]int{near: ofNear}
	for _, node := range l.cluster.Nodes() {
		for _, port := range ports {
			count, err := counter(ctx, node, port, far, nil)
			if err != nil {
				return nil, err
			}
			counted[far] += count
		}
	}
	return counted, nil
}

// counter is what is counted at a port of a node.
func counter(ctx context.Context, node *cluster.Node, port int, name string, labels metrics.Labels) (int, error) {
	data, err := node.Run(ctx, cluster.Command{Args: []string{"curl", "-sSf", "http://127.0.0.1:" + strconv.Itoa(port) + "/metrics"}})
	if err != nil {
		return 0, fmt.Errorf("the metrics at port %d of node %s: %w", port, node.Name(), err)
	}
	return metrics.Sum(data, name, labels)
}
