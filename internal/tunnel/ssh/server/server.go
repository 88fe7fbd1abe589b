// Package server is the end of an SSH tunnel on a node. It forwards connections to what is on the node, for those whose key
// it knows, and does nothing else that SSH can.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// Limits are what a server puts up with.
type Limits struct {
	Handshake time.Duration
	Keepalive wire.Keepalive
	Target    time.Duration // to dial what is on the node
	Drain     time.Duration // of connections whose key is no longer authorized
	// Strangers is how many connections may be at once whose key isn't known yet, Connections how many whose key is.
	Strangers, Connections int
	Forwards               int
}

// DefaultLimits are those on nodes. Each control plane has one connection, and for a while two.
func DefaultLimits() Limits {
	return Limits{
		Handshake: ssh.HandshakeLimit,
		Keepalive: wire.Keepalive{Interval: ssh.KeepaliveInterval, Silence: ssh.SilenceLimit},
		Target:    ssh.TargetLimit, Drain: ssh.DrainLimit,
		Strangers: 32, Connections: 64, Forwards: ssh.ForwardLimit,
	}
}

// Options are what a server is made of.
type Options struct {
	Config  ssh.ServerConfig
	HostKey cryptossh.Signer
	Limits  Limits
	Log     *slog.Logger
	// Dial reaches what is on the node; nil for TCP.
	Dial func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
}

// Server is a node's.
type Server struct {
	options   Options
	metrics   *metrics
	rules     atomic.Pointer[rules]
	strangers chan struct{}
	forwards  chan struct{}

	mu          sync.Mutex
	connections map[*connection]struct{}
}

// New makes a server.
func New(options Options) (*Server, error) {
	if options.Dial == nil {
		options.Dial = func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		}
	}
	found, err := newRules(options.Config, options.HostKey)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: options, metrics: newMetrics(),
		strangers: make(chan struct{}, options.Limits.Strangers), forwards: make(chan struct{}, options.Limits.Forwards),
		connections: map[*connection]struct{}{},
	}
	s.rules.Store(found)
	return s, nil
}

// Reload has what comes from now on judged by another configuration, and connections made with another host key. What a key
// opened that isn't authorized any more may end by itself, within a limit.
func (s *Server) Reload(config ssh.ServerConfig, hostKey cryptossh.Signer) error {
	next, err := newRules(config, hostKey)
	if err != nil {
		return err
	}
	s.rules.Store(next)
	s.options.Log.Info("took up another configuration", "node", config.Node, "hostKey", ssh.Fingerprint(hostKey.PublicKey()),
		"authorized", next.authorized())
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		if next.owner(c.key) == "" {
			c.retire(s.options.Limits.Drain)
		}
	}
	return nil
}

// Serve accepts connections until the context ends.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, listener := range listeners {
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		all.Go(func() { cancel(s.accept(ctx, listener, &all)) })
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// acceptPause is how long a server waits that has no file left for a connection.
const acceptPause = 50 * time.Millisecond

func (s *Server) accept(ctx context.Context, listener net.Listener, all *sync.WaitGroup) error {
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return context.Cause(ctx)
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting connections at %s: %w", listener.Addr(), err)
		case err != nil:
			s.options.Log.Error("accepting a connection: " + err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		select {
		case s.strangers <- struct{}{}:
			all.Go(func() { s.handle(ctx, conn) })
		default:
			s.refuse(tooManyStrangers, "there are too many connections that haven't shown a key yet", "from", conn.RemoteAddr())
			_ = conn.Close()
		}
	}
}

// refuse counts and tells of what isn't let in.
func (s *Server) refuse(reason, message string, details ...any) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	s.options.Log.Warn("refused: "+message, append([]any{"reason", reason}, details...)...)
}

// handle serves one connection, from its first byte.
func (s *Server) handle(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	below := wire.NewConn(conn)
	c, err := s.handshake(below)
	<-s.strangers
	if err != nil {
		s.refuse(c.reason, err.Error(), "from", conn.RemoteAddr())
		return
	}
	if !s.admit(c) {
		s.refuse(tooManyConnections, "there are too many connections", "from", conn.RemoteAddr(), "by", c.owner)
		return
	}
	log := s.options.Log.With("from", conn.RemoteAddr(), "by", c.owner)
	log.Info("connected", "key", ssh.Fingerprint(c.key))
	if s.rules.Load().owner(c.key) == "" { // since the handshake
		c.retire(s.options.Limits.Drain)
	}
	c.serve(ctx, s, log)
	s.mu.Lock()
	delete(s.connections, c)
	s.mu.Unlock()
	s.metrics.connections.Dec()
}

func (s *Server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connections) >= s.options.Limits.Connections {
		return false
	}
	s.connections[c] = struct{}{}
	s.metrics.connections.Inc()
	s.metrics.accepted.Inc()
	return true
}
