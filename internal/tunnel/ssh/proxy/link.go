package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// link is a connection to a node whose host key is pinned.
type link struct {
	node    string
	address netip.AddrPort
	hostKey cryptossh.PublicKey
	key     cryptossh.PublicKey // by which the node lets it in
	since   time.Time
	below   *wire.Conn
	conn    cryptossh.Conn
	open    *wire.Drain
	ctx     context.Context //nolint:containedctx // ends with the connection
	end     context.CancelCauseFunc
}

// suits reports whether a connection is what would be made anew.
func (l *link) suits(target target) bool {
	return ssh.SameIn(l.hostKey, target.pins) && ssh.Same(l.key, target.key.PublicKey()) &&
		l.address.Port() == target.port && slices.Contains(target.addresses, l.address.Addr())
}

// connect tries the node's addresses one after the other.
func (p *peer) connect(ctx context.Context, target target) (*link, error) {
	select {
	case p.proxy.handshakes <- struct{}{}:
		defer func() { <-p.proxy.handshakes }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var problems []error
	for _, address := range target.addresses {
		l, err := p.connectTo(ctx, netip.AddrPortFrom(address, target.port), target)
		if err == nil {
			return l, nil
		}
		if _, other := errors.AsType[*HostKeyError](err); other {
			return nil, err
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

func (p *peer) connectTo(ctx context.Context, address netip.AddrPort, target target) (*link, error) {
	failed := func(err error) error { return fmt.Errorf("connecting to node %s at %s: %w", p.name, address, err) }
	// A packet that was lost is sent again after one second and after three: to begin anew is no slower.
	dialling, cancel := context.WithTimeout(ctx, p.proxy.limits.Most)
	conn, err := p.proxy.dialNode(dialling, address)
	cancel()
	if err != nil {
		return nil, failed(err)
	}
	below := wire.NewConn(conn)
	defer context.AfterFunc(ctx, func() { _ = below.Close() })()
	l := &link{node: p.name, address: address, key: target.key.PublicKey(), below: below, open: wire.NewDrain()}
	var otherKey error
	config := &cryptossh.ClientConfig{
		Config: wire.Config(), User: ssh.User, ClientVersion: wire.Version,
		Auth:              []cryptossh.AuthMethod{cryptossh.PublicKeys(target.key)},
		HostKeyAlgorithms: []string{cryptossh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key cryptossh.PublicKey) error {
			if !ssh.SameIn(key, target.pins) {
				otherKey = &HostKeyError{Node: p.name, Seen: key, Pinned: target.pins}
			}
			l.hostKey = key
			return otherKey
		},
	}
	if err := below.SetDeadline(time.Now().Add(p.proxy.limits.Handshake)); err != nil {
		_ = below.Close()
		return nil, failed(err)
	}
	established, channels, requests, err := cryptossh.NewClientConn(below, address.String(), config)
	switch {
	case otherKey != nil:
		_ = below.Close()
		return nil, otherKey
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		// which golang.org/x/crypto v0.54.0, ssh/client_auth.go, has no type for
		return nil, failed(fmt.Errorf("it doesn't let key %s in", ssh.Fingerprint(l.key)))
	case err != nil:
		return nil, failed(err)
	}
	if err := below.SetDeadline(time.Time{}); err != nil {
		_ = below.Close()
		return nil, failed(err)
	}
	// A server asks for nothing, but for whether it is heard.
	go cryptossh.DiscardRequests(requests)
	go func() {
		for channel := range channels {
			_ = channel.Reject(cryptossh.Prohibited, "a proxy takes no channels")
		}
	}()
	l.conn, l.since = established, time.Now()
	l.ctx, l.end = context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(l.ctx, func() { _ = below.Close() })
	return l, nil
}

// watch returns when the connection has ended, and why.
func (l *link) watch(ctx context.Context, keepalive wire.Keepalive) error {
	stop := context.AfterFunc(ctx, func() { l.end(context.Cause(ctx)) })
	defer stop()
	err := keepalive.Watch(l.ctx, l.below, l.conn)
	l.end(err)
	return err
}

// retire ends the connection when nothing is open on it any more, and some time later whatever is.
func (l *link) retire(limit time.Duration) {
	drained := l.open.Close()
	go func() {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-drained:
		case <-timer.C:
		case <-l.ctx.Done():
		}
		l.end(errRetired)
	}()
}

var errRetired = errors.New("another has taken its place")
