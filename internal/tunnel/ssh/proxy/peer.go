package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// target is how a node is reached.
type target struct {
	addresses    []netip.Addr
	port         uint16
	pins         []cryptossh.PublicKey
	key          cryptossh.Signer
	controlPlane bool
}

// peer keeps the connection to a node.
type peer struct {
	name    string
	proxy   *Proxy
	stop    context.CancelCauseFunc
	log     *slog.Logger
	metrics *nodeMetrics
	changed signal // the target, or the connection
	flapped atomic.Bool

	mu      sync.Mutex
	target  target
	current *link
	problem error  // why there is no connection
	told    string // the problem that was last logged
}

// NotPinnedError is why a node isn't reached whose host key nobody has told.
type NotPinnedError struct{ Node string }

func (e *NotPinnedError) Error() string {
	return fmt.Sprintf("node %s has no pinned host key: apply the kubecomm_hardening again", e.Node)
}

// HostKeyError is why a node isn't reached whose place another may have taken.
type HostKeyError struct {
	Node   string
	Seen   cryptossh.PublicKey
	Pinned []cryptossh.PublicKey
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("node %s shows host key %s, where %s is pinned", e.Node, ssh.Fingerprint(e.Seen), ssh.Fingerprints(e.Pinned))
}

// GoneError is why a node isn't reached that was deleted.
type GoneError struct{ Node string }

func (e *GoneError) Error() string { return fmt.Sprintf("node %s no longer exists", e.Node) }

// leave ends the connection, and the waiting for one.
func (p *peer) leave(why error) {
	p.mu.Lock()
	p.problem = why
	p.mu.Unlock()
	p.stop(why)
	p.changed.fire()
}

// aim says how the node is reached from now on.
func (p *peer) aim(target target) {
	p.mu.Lock()
	if p.target.key == nil || !target.same(p.target) {
		p.problem = nil // what it was, it may no longer be
	}
	p.target = target
	if p.current != nil && !ssh.SameIn(p.current.hostKey, target.pins) {
		p.retire("its host key isn't pinned any more")
	}
	switch {
	case len(target.pins) == 0:
		p.problem = &NotPinnedError{p.name}
	case len(target.addresses) == 0:
		p.problem = fmt.Errorf("node %s has no address that no other node claims", p.name)
	}
	p.mu.Unlock()
	p.changed.fire()
}

// retire has the connection serve what is open on it, and nothing else.
func (p *peer) retire(why string) {
	p.log.Info("a connection ends when nothing is open on it any more", "because", why, "open", p.current.open.Open())
	p.current.retire(p.proxy.limits.Drain)
	p.current = nil
	p.metrics.connected.Set(0)
}

// run keeps a connection for as long as the node is there.
func (p *peer) run(ctx context.Context) {
	wait, fresh := p.proxy.limits.First, true
	slower := func() {
		p.pause(ctx, wait)
		wait, fresh = min(2*wait, p.proxy.limits.Most), false
	}
	for ctx.Err() == nil {
		changed := p.changed.wait()
		target, current := p.state()
		if len(target.pins) == 0 || len(target.addresses) == 0 || current != nil && current.suits(target) {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if p.flapped.Swap(false) { // what comes and goes at once is treated as what doesn't come
			slower()
			continue
		}
		next, err := p.connect(ctx, target)
		switch {
		case err == nil:
			p.use(ctx, next)
			fresh = true
		case ctx.Err() != nil:
		case fresh:
			wait = p.proxy.limits.First
			fallthrough
		default:
			p.failed(err)
			slower()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.end(context.Cause(ctx))
	}
}

// pause waits before another attempt, or until there is another way to try. Half of it is left to chance, so that after a
// control plane's restart nodes aren't all dialled at the same moments.
func (p *peer) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1)) //nolint:gosec // nothing secret about it
	defer timer.Stop()
	before, _ := p.state()
	for {
		changed := p.changed.wait()
		if now, _ := p.state(); !now.same(before) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-changed:
		}
	}
}

func (t target) same(other target) bool {
	return slices.Equal(t.addresses, other.addresses) && t.port == other.port &&
		ssh.Same(t.key.PublicKey(), other.key.PublicKey()) && slices.EqualFunc(t.pins, other.pins, ssh.Same)
}

func (p *peer) state() (target, *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target, p.current
}

// use makes a connection the one that serves, unless it isn't wanted any more.
func (p *peer) use(ctx context.Context, next *link) {
	p.mu.Lock()
	if !next.suits(p.target) {
		p.mu.Unlock()
		next.end(errors.New("another way to the node is known since"))
		return
	}
	if p.current != nil {
		p.retire("another has taken its place")
	}
	p.current, p.problem, p.told = next, nil, ""
	p.metrics.connected.Set(1)
	p.mu.Unlock()
	p.log.Info("connected", "address", next.address, "hostKey", ssh.Fingerprint(next.hostKey))
	p.proxy.all.Go(func() { p.gone(next, next.watch(ctx, p.proxy.limits.Keepalive)) })
	p.changed.fire()
	p.proxy.any.fire()
}

// gone notes that a connection ended.
func (p *peer) gone(ended *link, why error) {
	p.mu.Lock()
	if p.current == ended {
		p.current = nil
		if !hopeless(p.problem) {
			p.problem = fmt.Errorf("node %s is not connected: %w", p.name, why)
		}
		p.metrics.connected.Set(0)
		p.flapped.Store(time.Since(ended.since) < p.proxy.limits.Most)
		p.log.Warn("disconnected", "because", why)
	}
	p.mu.Unlock()
	p.changed.fire()
	p.proxy.any.fire()
}

// failed notes why there is no connection, and tells it once: what is tried again every other second fails as often.
func (p *peer) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, gone := errors.AsType[*GoneError](p.problem); !gone && len(p.target.pins) > 0 {
		p.problem = err
	}
	if text := err.Error(); text != p.told {
		p.told = text
		p.log.Error(text)
	}
	if _, other := errors.AsType[*HostKeyError](err); other {
		p.changed.fire() // nobody waits for that to mend itself
	}
}

// enter returns the connection with one more open on it, when there is one.
func (p *peer) enter(ctx context.Context) (*link, error) {
	for {
		changed := p.changed.wait()
		found, problem := p.tryEnter()
		if found != nil {
			return found, nil
		}
		if hopeless(problem) {
			return nil, problem
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if _, problem := p.tryEnter(); problem != nil {
				return nil, fmt.Errorf("%w: %w", context.Cause(ctx), problem)
			}
			return nil, fmt.Errorf("%w: node %s is not connected yet", context.Cause(ctx), p.name)
		}
	}
}

// hopeless are problems that no waiting mends.
func hopeless(problem error) bool {
	_, gone := errors.AsType[*GoneError](problem)
	_, unpinned := errors.AsType[*NotPinnedError](problem)
	_, other := errors.AsType[*HostKeyError](problem)
	return gone || unpinned || other
}

func (p *peer) tryEnter() (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && p.current.open.Enter() {
		return p.current, nil
	}
	return nil, p.problem
}

// load is how many are open on the connection; false if there is none.
func (p *peer) load() (open int, connected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return 0, false
	}
	return p.current.open.Open(), true
}

// leadsAway reports whether what is for services goes through a tunnel by way of the node: it is no control plane, and has
// keys that it is known by. Whatever else the API takes for a node has no server.
func (p *peer) leadsAway() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.target.controlPlane && len(p.target.pins) > 0
}

func (p *peer) status() NodeStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := NodeStatus{Name: p.name}
	if p.current != nil {
		status.Connected, status.Address, status.Since = true, p.current.address.String(), p.current.since.UTC()
		status.HostKey, status.Key = ssh.Fingerprint(p.current.hostKey), ssh.Fingerprint(p.current.key)
		status.Open = p.current.open.Open()
	}
	if p.problem != nil {
		status.Error = p.problem.Error()
	}
	if other, ok := errors.AsType[*HostKeyError](p.problem); ok {
		status.OtherHostKey = ssh.Fingerprint(other.Seen)
	}
	return status
}
