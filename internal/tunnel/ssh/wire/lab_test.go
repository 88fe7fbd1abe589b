package wire_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// socket is one end of a stream in memory, each direction of which can be ended by itself.
type socket struct {
	net.Conn // what is read
	to       net.Conn
	lingers  atomic.Int64
}

func newSockets() (*socket, *socket) {
	toOne, fromOther := net.Pipe()
	toOther, fromOne := net.Pipe()
	one, other := &socket{Conn: toOne, to: fromOne}, &socket{Conn: toOther, to: fromOther}
	one.lingers.Store(-1)
	other.lingers.Store(-1)
	return one, other
}

func (s *socket) Write(p []byte) (int, error)         { return s.to.Write(p) }
func (s *socket) CloseWrite() error                   { return s.to.Close() }
func (s *socket) SetWriteDeadline(at time.Time) error { return s.to.SetWriteDeadline(at) }

func (s *socket) SetLinger(seconds int) error {
	s.lingers.Store(int64(seconds))
	return nil
}

func (s *socket) Close() error {
	_ = s.to.Close()
	return s.Conn.Close()
}

// tunnel is a connection of SSH in memory, of whose server the test itself is what answers.
type tunnel struct {
	client   ssh.Conn
	below    *wire.Conn // the client's
	cut      func()     // without either end's doing
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
}

func newTunnel(t *testing.T) *tunnel {
	t.Helper()
	tunnel, err := negotiate(t, wire.Config(), wire.Config())
	require.NoError(t, err)
	return tunnel
}

func negotiate(t *testing.T, client, server ssh.Config) (*tunnel, error) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	listener := bufconn.Listen(1 << 16)
	dialed := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Dial()
		dialed <- conn
	}()
	far, err := listener.Accept()
	require.NoError(t, err)
	near := <-dialed
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	type accepted struct {
		channels <-chan ssh.NewChannel
		requests <-chan *ssh.Request
	}
	served := make(chan accepted, 1)
	go func() {
		config := &ssh.ServerConfig{Config: server, NoClientAuth: true}
		config.AddHostKey(signer)
		_, channels, requests, err := ssh.NewServerConn(far, config)
		if err != nil {
			_ = far.Close()
			close(served)
			return
		}
		served <- accepted{channels, requests}
	}()
	below := wire.NewConn(near)
	conn, channels, requests, err := ssh.NewClientConn(below, "", &ssh.ClientConfig{
		Config: client, User: "tunnel", HostKeyCallback: ssh.FixedHostKey(signer.PublicKey()),
	})
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for channel := range channels {
			_ = channel.Reject(ssh.Prohibited, "a server opens none")
		}
	}()
	there := <-served
	return &tunnel{
		client: conn, below: below, channels: there.channels, requests: there.requests,
		cut: func() { _ = far.Close() },
	}, nil
}

// joined is a stream from a socket to the far end of a tunnel.
type joined struct {
	*tunnel
	user     *socket     // who speaks by the tunnel
	carried  *socket     // what is joined
	answer   ssh.Channel // the far end's
	received atomic.Int64
	sent     atomic.Int64
	ended    chan struct{} // closed once nothing is carried any more
}

func join(t *testing.T) *joined {
	t.Helper()
	j := &joined{tunnel: newTunnel(t), ended: make(chan struct{})}
	accepted := make(chan ssh.Channel, 1)
	go func() {
		channel, requests, err := (<-j.channels).Accept()
		if err == nil {
			go ssh.DiscardRequests(requests)
		}
		accepted <- channel
	}()
	channel, requests, err := wire.Open(t.Context(), j.client, wire.DirectTCPIP{Host: "10.0.0.1", Port: 80})
	require.NoError(t, err)
	j.answer = <-accepted
	j.user, j.carried = newSockets()
	counted := wire.Counted{
		ToSocket:   func(n int) { j.received.Add(int64(n)) },
		FromSocket: func(n int) { j.sent.Add(int64(n)) },
	}
	go func() {
		defer close(j.ended)
		wire.Join(j.carried, channel, requests, counted, j.below.Ended)
	}()
	return j
}

// say writes all of a text.
func say(t *testing.T, to io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(to, text)
	require.NoError(t, err)
}

// hear reads as much as a text is long.
func hear(t *testing.T, from io.Reader, text string) {
	t.Helper()
	heard := make([]byte, len(text))
	_, err := io.ReadFull(from, heard)
	require.NoError(t, err)
	require.Equal(t, text, string(heard))
}
