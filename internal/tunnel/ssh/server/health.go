package server

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// Why something is refused, as metrics tell it.
const (
	badHandshake       = "handshake"
	unknownKey         = "key"
	foreignDestination = "destination"
	notForwarding      = "not_forwarding"
	tooManyStrangers   = "too_many_unauthenticated"
	tooManyConnections = "too_many_connections"
	tooManyForwards    = "too_many_forwards"
)

type metrics struct {
	registry         *prometheus.Registry
	accepted         prometheus.Counter
	connections      prometheus.Gauge
	refused          *prometheus.CounterVec
	forwards, failed prometheus.Counter
	open             prometheus.Gauge
	toNode, fromNode func(int)
}

func newMetrics() *metrics {
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubecomm_ssh_server_bytes_total", Help: "Bytes forwarded, to what is on the node and from it.",
	}, []string{"direction"})
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kubecomm_ssh_server_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "kubecomm_ssh_server_" + name, Help: help})
	}
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		accepted:    counter("accepted_total", "Connections whose key was authorized."),
		connections: gauge("connections", "Connections that there are."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubecomm_ssh_server_refused_total", Help: "Connections, requests and forwards that were refused, by why.",
		}, []string{"reason"}),
		forwards: counter("forwards_total", "Forwards that reached what they were for."),
		failed:   counter("forward_failures_total", "Forwards that were allowed, but reached nothing."),
		open:     gauge("forwards_open", "Forwards that are open."),
	}
	to, from := bytes.WithLabelValues("to_node"), bytes.WithLabelValues("from_node")
	m.toNode, m.fromNode = func(n int) { to.Add(float64(n)) }, func(n int) { from.Add(float64(n)) }
	for _, reason := range []string{
		badHandshake, unknownKey, foreignDestination, notForwarding, tooManyStrangers, tooManyConnections, tooManyForwards,
	} {
		m.refused.WithLabelValues(reason)
	}
	m.registry.MustRegister(bytes, m.accepted, m.connections, m.refused, m.forwards, m.failed, m.open)
	return m
}

// Status is what a server tells of itself.
type Status struct {
	Node       string              `json:"node"`
	Config     string              `json:"config"`     // ssh.Digest of what it has taken up
	HostKey    string              `json:"hostKey"`    // its fingerprint
	Authorized map[string][]string `json:"authorized"` // fingerprints of each control plane's keys
	Connected  map[string]int      `json:"connected"`  // connections of each control plane
}

// Status is how the server is now.
func (s *Server) Status() Status {
	rules := s.rules.Load()
	status := Status{
		Node: rules.config.Node, Config: rules.digest, HostKey: ssh.Fingerprint(rules.hostKey.PublicKey()),
		Authorized: rules.authorized(), Connected: map[string]int{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		status.Connected[c.owner]++
	}
	return status
}

// Handler answers at /healthz with the status, and at /metrics.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Status())
	})
	return mux
}
