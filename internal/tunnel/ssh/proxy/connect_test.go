package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

func TestWhatIsToBeReachedIsAnAddressOrANameAndAPort(t *testing.T) {
	tests := map[string]struct {
		host string
		port uint16
	}{
		"172.18.0.3:10250":          {"172.18.0.3", 10250},
		"[fc00::3]:10250":           {"fc00::3", 10250},
		"[::ffff:172.18.0.3]:10250": {"172.18.0.3", 10250},
		"dev-worker:1":              {"dev-worker", 1},
		"Dev-Worker.example:65535":  {"Dev-Worker.example", 65535},
	}
	for text, want := range tests {
		host, port, err := parseTarget(text)
		require.NoError(t, err, text)
		require.Equal(t, want.host, host)
		require.Equal(t, want.port, port)
	}
	for _, text := range []string{
		"", ":", ":80", "172.18.0.3", "172.18.0.3:", "172.18.0.3:0", "172.18.0.3:65536", "172.18.0.3:-1", "172.18.0.3:+1", "172.18.0.3:http",
		"fc00::3:10250", "[fe80::1%eth0]:1", "[dev-worker:1", "dev_worker!:1", "dev worker:1", "http://172.18.0.3:1", "user@172.18.0.3:1",
		strings.Repeat("a", 254) + ":1", "\x00:1",
	} {
		_, _, err := parseTarget(text)
		require.Error(t, err, "%q", text)
	}
}

// oneConn is a listener with a single connection.
type oneConn struct {
	conn   chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { l.close(); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "one", Net: "unix"} }

// wire is what a client says, at once, and what it hears.
type wireConn struct {
	io.Reader
	heard  bytes.Buffer
	closed context.CancelFunc
}

func (c *wireConn) Write(p []byte) (int, error)      { return c.heard.Write(p) }
func (c *wireConn) Close() error                     { c.closed(); return nil }
func (c *wireConn) CloseWrite() error                { return nil }
func (c *wireConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *wireConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *wireConn) SetDeadline(time.Time) error      { return nil }
func (c *wireConn) SetReadDeadline(time.Time) error  { return nil }
func (c *wireConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzConnect has a proxy that reaches nothing answer whatever comes: with an error, or not at all, and without a panic.
func FuzzConnect(f *testing.F) {
	key, _, err := ssh.NewKey("")
	require.NoError(f, err)
	signer, err := ssh.ParseKey(key.Reveal())
	require.NoError(f, err)
	p := New(Options{
		Config: ssh.ProxyConfig{ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}},
		Key:    signer, Limits: Limits{Dial: time.Millisecond, Connections: 1, Handshakes: 1}, Log: slog.New(slog.DiscardHandler),
	})
	p.Start(f.Context())
	for _, request := range []string{
		"CONNECT 172.18.0.3:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "CONNECT [fc00::3]:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"CONNECT 10.96.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nearly", "CONNECT dev-worker:1 HTTP/1.0\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT \r\n\r\n", "\x00\xff", "",
	} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		var panicked atomic.Value
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		listener := &oneConn{conn: make(chan net.Conn, 1)}
		listener.closed, listener.close = context.WithCancel(ctx)
		conn := &wireConn{Reader: bytes.NewReader(request)}
		ended, closed := context.WithCancel(ctx)
		conn.closed = closed
		listener.conn <- conn
		server := &http.Server{
			MaxHeaderBytes: headerLimit, DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if found := recover(); found != nil {
						panicked.Store(found)
					}
				}()
				p.ServeHTTP(w, r)
			}),
		}
		go func() { _ = server.Serve(listener) }()
		<-ended.Done()
		_ = server.Close()
		require.NoError(t, ctx.Err(), "it ends")
		require.Nil(t, panicked.Load())
		if heard := conn.heard.String(); heard != "" {
			require.True(t, strings.HasPrefix(heard, "HTTP/1."), heard)
			require.NotContains(t, heard, " 200 ", "nothing can be reached")
		}
		require.Empty(t, p.connections, "nothing is held")
	})
}

func TestAReasonIsOneLineOfPlainText(t *testing.T) {
	key, _, err := ssh.NewKey("")
	require.NoError(t, err)
	signer, err := ssh.ParseKey(key.Reveal())
	require.NoError(t, err)
	p := New(Options{Key: signer, Limits: DefaultLimits(), Log: slog.New(slog.DiscardHandler)})
	client, served := net.Pipe()
	listener := &oneConn{conn: make(chan net.Conn, 1)}
	listener.closed, listener.close = context.WithCancel(t.Context())
	listener.conn <- &pipeSocket{served}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.deny(w, "x:1", &dialError{reason: timedOut, err: errors.New("one\r\nSet-Cookie: two\x00é" + strings.Repeat("x", 4096))})
	})}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.WriteString(client, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n") }()
	answer, err := io.ReadAll(client)
	require.NoError(t, err)
	line, rest, _ := strings.Cut(string(answer), "\r\n")
	require.True(t, strings.HasPrefix(line, "HTTP/1.1 504 one  Set-Cookie: two  xxx"), line)
	require.Len(t, line, len("HTTP/1.1 504 ")+phraseLimit)
	require.True(t, strings.HasPrefix(rest, "Content-Type: "), rest)
}

// pipeSocket is one end of a pipe, as a socket.
type pipeSocket struct{ net.Conn }

func (p *pipeSocket) CloseWrite() error { return nil }
