package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// connection is one whose key is known.
type connection struct {
	below    *wire.Conn
	conn     *cryptossh.ServerConn
	channels <-chan cryptossh.NewChannel
	requests <-chan *cryptossh.Request
	key      cryptossh.PublicKey
	owner    string
	reason   string // why there is none
	open     *wire.Drain
}

// authTries is one for the client's asking which methods there are, and two for its keys.
const authTries = 3

func (s *Server) handshake(below *wire.Conn) (*connection, error) {
	c := &connection{below: below, open: wire.NewDrain()}
	rules := s.rules.Load()
	config := &cryptossh.ServerConfig{
		Config: wire.Config(), ServerVersion: wire.Version, MaxAuthTries: authTries,
		PublicKeyAuthAlgorithms: []string{cryptossh.KeyAlgoED25519},
		PublicKeyCallback: func(_ cryptossh.ConnMetadata, key cryptossh.PublicKey) (*cryptossh.Permissions, error) {
			if rules.owner(key) == "" {
				return nil, fmt.Errorf("key %s is not authorized", ssh.Fingerprint(key))
			}
			return &cryptossh.Permissions{ExtraData: map[any]any{keyOf: key}}, nil
		},
	}
	config.AddHostKey(rules.hostKey)
	err := below.SetDeadline(time.Now().Add(s.options.Limits.Handshake))
	if err != nil {
		c.reason = badHandshake
		return c, err
	}
	if c.conn, c.channels, c.requests, err = cryptossh.NewServerConn(below, config); err != nil {
		c.reason, err = handshakeError(err)
		return c, err
	}
	c.key, _ = c.conn.Permissions.ExtraData[keyOf].(cryptossh.PublicKey)
	c.owner = rules.owner(c.key)
	c.reason = badHandshake // if there is still one
	return c, below.SetDeadline(time.Time{})
}

type permission int

// keyOf is where the key is kept that a client has proved to have.
const keyOf permission = 0

// handshakeError says which keys weren't known, where that is why.
func handshakeError(err error) (string, error) {
	failed, ok := errors.AsType[*cryptossh.ServerAuthError](err)
	if !ok {
		return badHandshake, fmt.Errorf("the handshake failed: %w", err)
	}
	var reasons []string
	for _, each := range failed.Errors {
		if !errors.Is(each, cryptossh.ErrNoAuth) {
			reasons = append(reasons, each.Error())
		}
	}
	if len(reasons) == 0 {
		return badHandshake, errors.New("no key was shown")
	}
	return unknownKey, errors.New(strings.Join(reasons, "; "))
}

// retire lets what is open end, and nothing else begin.
func (c *connection) retire(limit time.Duration) {
	drained := c.open.Close()
	go func() {
		select {
		case <-drained:
		case <-time.After(limit):
		}
		_ = c.below.Close()
	}()
}

func (c *connection) serve(ctx context.Context, s *Server, log *slog.Logger) {
	go c.answerRequests(s)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(s.options.Limits.Keepalive.Watch(ctx, c.below, c.conn)) }()
	for channel := range c.channels {
		c.consider(ctx, s, channel)
	}
	<-ctx.Done()
	<-c.open.Close()
	log.Info("disconnected", "because", context.Cause(ctx))
}

// answerRequests denies all that is asked for a whole connection, which is to listen in the client's place. A denied
// keepalive is an answer too.
func (c *connection) answerRequests(s *Server) {
	for request := range c.requests {
		if request.Type != wire.KeepaliveRequest {
			s.refuse(notForwarding, fmt.Sprintf("request %q: this server does nothing but forward", request.Type), "by", c.owner)
		}
		if request.WantReply {
			_ = request.Reply(false, nil)
		}
	}
}

// consider decides of a channel without waiting for anything, because others wait behind it.
func (c *connection) consider(ctx context.Context, s *Server, channel cryptossh.NewChannel) {
	refuse := func(code cryptossh.RejectionReason, reason, message string) {
		s.refuse(reason, message, "by", c.owner)
		_ = channel.Reject(code, message)
	}
	if channel.ChannelType() != wire.ChannelType {
		refuse(cryptossh.UnknownChannelType, notForwarding,
			fmt.Sprintf("channel %q: this server does nothing but forward", channel.ChannelType()))
		return
	}
	var asked wire.DirectTCPIP
	if err := cryptossh.Unmarshal(channel.ExtraData(), &asked); err != nil {
		refuse(cryptossh.Prohibited, foreignDestination, "what is asked for can't be read")
		return
	}
	rules := s.rules.Load()
	target, err := rules.destination(asked.Host, asked.Port)
	if err != nil {
		refuse(cryptossh.Prohibited, foreignDestination, err.Error())
		return
	}
	select {
	case s.forwards <- struct{}{}:
	default:
		refuse(cryptossh.ResourceShortage, tooManyForwards,
			fmt.Sprintf("node %s has %d connections open, and no more are let in", rules.config.Node, cap(s.forwards)))
		return
	}
	if !c.open.Enter() {
		<-s.forwards
		refuse(cryptossh.Prohibited, unknownKey, fmt.Sprintf("key %s is not authorized any more", ssh.Fingerprint(c.key)))
		return
	}
	go func() {
		defer c.open.Leave()
		defer func() { <-s.forwards }()
		c.forward(ctx, s, channel, target, rules.config.Node)
	}()
}

func (c *connection) forward(ctx context.Context, s *Server, channel cryptossh.NewChannel, target netip.AddrPort, node string) {
	dialling, cancel := context.WithTimeout(ctx, s.options.Limits.Target)
	conn, err := s.options.Dial(dialling, target)
	cancel()
	if err != nil {
		s.metrics.failed.Inc()
		message := fmt.Sprintf("node %s could not connect to %s: %v", node, target, err)
		if problem, ok := errors.AsType[net.Error](err); ok && problem.Timeout() {
			message = fmt.Sprintf("connecting to %s from node %s%s%s", target, node, wire.TimedOut, s.options.Limits.Target)
		}
		s.options.Log.Warn(message, "by", c.owner)
		_ = channel.Reject(cryptossh.ConnectionFailed, message)
		return
	}
	defer func() { _ = conn.Close() }()
	socket, ok := conn.(wire.Socket)
	if !ok {
		_ = channel.Reject(cryptossh.ConnectionFailed, fmt.Sprintf("%T is no socket", conn))
		return
	}
	stream, requests, err := channel.Accept()
	if err != nil {
		return
	}
	s.metrics.forwards.Inc()
	s.metrics.open.Inc()
	defer s.metrics.open.Dec()
	wire.Join(socket, stream, requests, wire.Counted{ToSocket: s.metrics.toNode, FromSocket: s.metrics.fromNode}, c.below.Ended)
}
