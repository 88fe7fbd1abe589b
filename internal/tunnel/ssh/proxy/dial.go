package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/route"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// Why a dial failed, as metrics tell it.
const (
	noRoute      = "no_route"
	notPinned    = "not_pinned"
	otherHostKey = "other_host_key"
	refused      = "refused"  // by the node's server: it is none of its destinations
	unreached    = "failed"   // from the node
	timedOut     = "timeout"  // of waiting for a connection, a server or what is behind it
	givenUp      = "canceled" // by the apiserver
	tooMany      = "too_many"
)

// dialError is why a dial failed.
type dialError struct {
	node   string // empty if it never came to one
	reason string
	err    error
}

func (e *dialError) Error() string { return e.err.Error() }

func (e *dialError) Unwrap() error { return e.err }

// errTimeout is the cause of a context that has waited for as long as an apiserver shall.
var errTimeout = errors.New("it took too long")

// stream is what was dialled.
type stream struct {
	link     *link
	channel  cryptossh.Channel
	requests <-chan *cryptossh.Request
}

// dial reaches a host within a context. When the connection breaks that it uses, it waits for another: nothing has been sent
// yet that could be sent twice.
func (p *Proxy) dial(ctx context.Context, host string, port uint16) (*stream, error) {
	target, err := p.table.Load().Find(host)
	if err != nil {
		return nil, &dialError{reason: noRoute, err: err}
	}
	for {
		l, err := p.enter(ctx, target)
		if err != nil {
			return nil, &dialError{node: target.Node, reason: reasonOf(ctx, err), err: err}
		}
		opening, cancel := context.WithCancelCause(ctx)
		stop := context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })
		channel, requests, err := wire.Open(opening, l.conn, wire.DirectTCPIP{
			Host: target.Address.String(), Port: uint32(port), Origin: "127.0.0.1",
		})
		stop()
		cancel(nil)
		if err == nil {
			return &stream{l, channel, requests}, nil
		}
		l.open.Leave()
		if _, answered := errors.AsType[*cryptossh.OpenChannelError](err); answered || ctx.Err() != nil {
			return nil, &dialError{node: l.node, reason: reasonOf(ctx, err), err: explained(l.node, err)}
		}
		// It broke. Where the library knows before who watches it does, there is nothing to do until that does too.
		select {
		case <-l.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// explained is a server's refusal in its own words.
func explained(node string, err error) error {
	if answer, ok := errors.AsType[*cryptossh.OpenChannelError](err); ok {
		return errors.New(answer.Message)
	}
	return fmt.Errorf("node %s didn't answer: %w", node, err)
}

func reasonOf(ctx context.Context, err error) string {
	answer, answered := errors.AsType[*cryptossh.OpenChannelError](err)
	_, gone := errors.AsType[*GoneError](err)
	_, unpinned := errors.AsType[*NotPinnedError](err)
	_, other := errors.AsType[*HostKeyError](err)
	switch {
	case answered && strings.Contains(answer.Message, wire.TimedOut):
		return timedOut
	case answered && answer.Reason == cryptossh.ConnectionFailed:
		return unreached
	case answered && answer.Reason == cryptossh.ResourceShortage:
		return tooMany
	case answered:
		return refused
	case gone:
		return noRoute
	case unpinned:
		return notPinned
	case other:
		return otherHostKey
	case errors.Is(context.Cause(ctx), errTimeout):
		return timedOut
	case ctx.Err() != nil:
		return givenUp
	}
	return unreached
}

// enter returns a connection by which a target is reached, with one more open on it.
func (p *Proxy) enter(ctx context.Context, target route.Target) (*link, error) {
	if target.Node != "" {
		p.mu.Lock()
		peer := p.peers[target.Node]
		p.mu.Unlock()
		if peer == nil {
			return nil, &GoneError{target.Node}
		}
		return peer.enter(ctx)
	}
	for {
		changed := p.any.wait()
		if peer := p.leastLoaded(); peer != nil {
			if found, _ := peer.tryEnter(); found != nil {
				return found, nil
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: no node is connected by which services could be reached", context.Cause(ctx))
		}
	}
}

// leastLoaded is who has the fewest open of all that are connected, and of several each in its turn. Control planes are among
// them only where no other node is to be connected: from their own nodes, traffic would go on without a tunnel.
func (p *Proxy) leastLoaded() *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	var best *peer
	var least int
	workers := slices.ContainsFunc(p.order, (*peer).leadsAway)
	for i := range p.order {
		peer := p.order[(p.turn+i)%len(p.order)]
		open, connected := peer.load()
		if connected && (best == nil || open < least) && (!workers || peer.leadsAway()) {
			best, least = peer, open
		}
	}
	return best
}
