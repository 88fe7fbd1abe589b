package proxy

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

type metrics struct {
	registry               *prometheus.Registry
	dials, failures, bytes *prometheus.CounterVec
	connected, open        *prometheus.GaugeVec
}

// nodeMetrics are a node's.
type nodeMetrics struct {
	connected, open  prometheus.Gauge
	toNode, fromNode func(int)
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kubecomm_ssh_proxy_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubecomm_ssh_proxy_" + name, Help: help}, []string{"node"})
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		dials:     counter("dials_total", "What the apiserver dialled, by how it went: ok, failed or timeout.", "node", "result"),
		failures:  counter("dial_failures_total", "Dials that failed, by why.", "node", "reason"),
		bytes:     counter("bytes_total", "Bytes carried, to nodes and from them.", "node", "direction"),
		connected: gauge("connected", "Whether a node is connected."),
		open:      gauge("connections", "The apiserver's connections that are open."),
	}
	m.registry.MustRegister(m.dials, m.failures, m.bytes, m.connected, m.open)
	return m
}

func (m *metrics) of(node string) *nodeMetrics {
	to, from := m.bytes.WithLabelValues(node, "to_node"), m.bytes.WithLabelValues(node, "from_node")
	return &nodeMetrics{
		connected: m.connected.WithLabelValues(node), open: m.open.WithLabelValues(node),
		toNode: func(n int) { to.Add(float64(n)) }, fromNode: func(n int) { from.Add(float64(n)) },
	}
}

// count counts a dial, with the reason if it failed.
func (m *metrics) count(node, reason string) {
	result := "ok"
	switch reason {
	case "":
	case timedOut:
		result = "timeout"
	default:
		result = "failed"
	}
	m.dials.WithLabelValues(node, result).Inc()
	if reason != "" {
		m.failures.WithLabelValues(node, reason).Inc()
	}
}

// forget lets go of a node that no longer exists.
func (m *metrics) forget(node string) {
	label := prometheus.Labels{"node": node}
	for _, vector := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		m.dials, m.failures, m.bytes, m.connected, m.open,
	} {
		vector.DeletePartialMatch(label)
	}
}

// Status is what a proxy tells of itself.
type Status struct {
	Node   string `json:"node"`
	Config string `json:"config"` // ssh.Digest of what it has taken up
	Key    string `json:"key"`    // the fingerprint of its own
	// FromAPI is whether the API has told which nodes there are, and APIError why it doesn't tell more.
	FromAPI   bool         `json:"fromAPI"`
	APIError  string       `json:"apiError,omitempty"`
	Connected int          `json:"connected"`
	Nodes     []NodeStatus `json:"nodes"`
}

// NodeStatus is how a node is connected, or why it isn't.
type NodeStatus struct {
	Name      string    `json:"name"`
	Connected bool      `json:"connected"`
	Address   string    `json:"address,omitempty"`
	HostKey   string    `json:"hostKey,omitempty"` // its fingerprint
	Key       string    `json:"key,omitempty"`     // by which the node has let the proxy in
	Since     time.Time `json:"since,omitzero"`
	Open      int       `json:"open"`
	Error     string    `json:"error,omitempty"`
	// OtherHostKey is the fingerprint of one that the node showed and that isn't pinned.
	OtherHostKey string `json:"otherHostKey,omitempty"`
}

// Status is how the proxy is now.
func (p *Proxy) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := Status{
		Node: p.config.Node, Config: p.digest, Key: ssh.Fingerprint(p.key.PublicKey()), FromAPI: p.asked,
		APIError: p.apiError, Nodes: []NodeStatus{},
	}
	for _, peer := range p.order {
		node := peer.status()
		if node.Connected {
			status.Connected++
		}
		status.Nodes = append(status.Nodes, node)
	}
	return status
}

// Ready reports whether every node is connected.
func (s Status) Ready() bool { return len(s.Nodes) > 0 && s.Connected == len(s.Nodes) }

// Handler answers at /healthz, at /readyz with the status, and at /metrics.
func (p *Proxy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status := p.Status()
		w.Header().Set("Content-Type", "application/json")
		if !status.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(status)
	})
	return mux
}
