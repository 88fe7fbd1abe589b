// Package wire is what both ends of an SSH tunnel have in common: what they negotiate, how they notice that a connection is
// cut, and how a stream goes on from a channel to a socket.
package wire

import (
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config is what both ends negotiate: of what the library has, the algorithms of today.
func Config() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
		Ciphers:      []string{ssh.CipherAES256GCM, ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305},
		MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}, // which these ciphers don't need, but a negotiation does
	}
}

// Version is how both ends announce themselves (RFC 4253, 4.2).
const Version = "SSH-2.0-kubecomm"

// DirectTCPIP is what the opening of a channel carries that is to be forwarded (RFC 4254, 7.2).
type DirectTCPIP struct {
	Host       string
	Port       uint32
	Origin     string
	OriginPort uint32
}

// ChannelType is the only type of channel that there is.
const ChannelType = "direct-tcpip"

// TimedOut is in a server's refusal of a forward to what did not answer. SSH has no code for it.
const TimedOut = " timed out after "

// Conn is a connection that knows when it last heard of its other end.
type Conn struct {
	net.Conn
	start time.Time
	heard atomic.Int64 // since start: a machine's clock may be set
	ended atomic.Bool
}

// NewConn takes a connection over.
func NewConn(conn net.Conn) *Conn { return &Conn{Conn: conn, start: time.Now()} }

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.start)))
	}
	if err != nil {
		c.ended.Store(true)
	}
	return n, err
}

// Silence is how long nothing has come.
func (c *Conn) Silence() time.Duration { return time.Since(c.start) - time.Duration(c.heard.Load()) }

// Ended reports whether nothing more can come. It does so before any channel of the connection is closed.
func (c *Conn) Ended() bool { return c.ended.Load() }
