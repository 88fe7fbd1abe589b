// Package proxy is the end of SSH tunnels on a control plane. It keeps a connection to every node's server, and carries what
// its apiserver dials through the connection of the node that has it.
package proxy

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/route"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// Limits are what a proxy puts up with.
type Limits struct {
	Handshake time.Duration
	Keepalive wire.Keepalive
	Dial      time.Duration // of an apiserver's, with all that it may have to wait for
	Drain     time.Duration // of a connection that another has replaced
	// First and Most bound the time between two attempts to connect to a node.
	First, Most time.Duration
	Handshakes  int // at once
	Connections int // of the apiserver's
}

// DefaultLimits are those on control planes.
func DefaultLimits() Limits {
	return Limits{
		Handshake: ssh.HandshakeLimit,
		Keepalive: wire.Keepalive{Interval: ssh.KeepaliveInterval, Silence: ssh.SilenceLimit},
		Dial:      ssh.DialLimit, Drain: ssh.DrainLimit,
		First: 100 * time.Millisecond, Most: 2 * time.Second,
		Handshakes: 64, Connections: ssh.ConnectionLimit,
	}
}

// Node is what the API tells of a node.
type Node struct {
	route.Node
	ControlPlane bool
}

// Options are what a proxy is made of.
type Options struct {
	Config ssh.ProxyConfig
	Key    cryptossh.Signer
	Limits Limits
	Log    *slog.Logger
	// Dial reaches nodes' servers; nil for TCP.
	Dial func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
}

// Proxy is a control plane's.
type Proxy struct {
	log         *slog.Logger
	limits      Limits
	dialNode    func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
	metrics     *metrics
	table       atomic.Pointer[route.Table]
	handshakes  chan struct{}
	connections chan struct{}
	any         signal // fires when a connection came or went

	mu       sync.Mutex
	config   ssh.ProxyConfig
	digest   string
	key      cryptossh.Signer
	told     []Node // by the API
	asked    bool   // the API has told
	apiError string
	peers    map[string]*peer
	order    []*peer
	turn     int
	ctx      context.Context //nolint:containedctx // nodes that come later connect for as long as it runs
	all      sync.WaitGroup
}

// New makes a proxy.
func New(options Options) *Proxy {
	limits := options.Limits
	if options.Dial == nil {
		options.Dial = func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		}
	}
	p := &Proxy{
		log: options.Log, limits: limits, dialNode: options.Dial, metrics: newMetrics(),
		handshakes: make(chan struct{}, limits.Handshakes), connections: make(chan struct{}, limits.Connections),
		config: options.Config, digest: ssh.Digest(options.Config.Encode()), key: options.Key, peers: map[string]*peer{},
	}
	p.table.Store(route.New(nil, nil, nil))
	return p
}

// Start connects to the nodes, until the context ends. Stopped returns when all has ended.
func (p *Proxy) Start(ctx context.Context) (stopped func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ctx = ctx
	p.settle()
	return p.all.Wait
}

// Reload takes another configuration and key up. Connections stay to nodes for which neither changes anything.
func (p *Proxy) Reload(config ssh.ProxyConfig, key cryptossh.Signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config, p.digest, p.key = config, ssh.Digest(config.Encode()), key
	p.settle()
	p.log.Info("took up another configuration", "nodes", len(config.Nodes), "key", ssh.Fingerprint(key.PublicKey()))
}

// SetNodes takes what the API tells for what nodes there are.
func (p *Proxy) SetNodes(nodes []Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told, p.asked, p.apiError = nodes, true, ""
	p.settle()
}

// SetAPIError notes why the API doesn't tell which nodes there are. What it told before still counts.
func (p *Proxy) SetAPIError(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apiError = err.Error()
}

// settle makes routes and connections of what is known: of a node's addresses by the API, or by the configuration until the
// API tells, and of its host keys by the configuration alone.
func (p *Proxy) settle() {
	if p.ctx == nil {
		return
	}
	configured := map[string]ssh.Node{}
	var known, nodes []route.Node
	controlPlanes := map[string]bool{}
	for _, node := range p.config.Nodes {
		configured[node.Name] = node
		known = append(known, route.Node{Name: node.Name, Addresses: node.Addresses, PodCIDRs: node.PodCIDRs})
		controlPlanes[node.Name] = node.ControlPlane
	}
	nodes = known
	if p.asked {
		nodes = nil
		for _, node := range p.told {
			nodes = append(nodes, node.Node)
			controlPlanes[node.Name] = node.ControlPlane
		}
	}
	table := route.New(known, nodes, p.config.ServiceCIDRs)
	p.table.Store(table)
	gone := maps.Clone(p.peers)
	for _, node := range nodes {
		delete(gone, node.Name)
		target := target{addresses: table.Addresses(node), controlPlane: controlPlanes[node.Name], key: p.key}
		if own, there := configured[node.Name]; there {
			target.port = own.Port
			target.pins, _ = ssh.ParsePublicKeys(own.HostKeys) // which a configuration's parser has seen to
		}
		if p.peers[node.Name] == nil {
			p.begin(node.Name)
		}
		p.peers[node.Name].aim(target)
	}
	for name, peer := range gone {
		peer.leave(&GoneError{name})
		delete(p.peers, name)
		p.metrics.forget(name)
	}
	p.order = slices.SortedFunc(maps.Values(p.peers), func(a, b *peer) int { return strings.Compare(a.name, b.name) })
}

func (p *Proxy) begin(name string) {
	ctx, cancel := context.WithCancelCause(p.ctx)
	peer := &peer{name: name, proxy: p, stop: cancel, log: p.log.With("node", name), metrics: p.metrics.of(name)}
	p.peers[name] = peer
	p.all.Go(func() { peer.run(ctx) })
}

// signal lets any number wait for something to have changed.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// wait returns what is closed at the next change. Who calls it before looking misses none.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
