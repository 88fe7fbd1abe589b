package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

const limit = 10 * time.Second

func newKey(t *testing.T) cryptossh.Signer {
	t.Helper()
	key, _, err := ssh.NewKey("")
	require.NoError(t, err)
	signer, err := ssh.ParseKey(key.Reveal())
	require.NoError(t, err)
	return signer
}

// lab is a server, and the key that it knows.
type lab struct {
	t      *testing.T
	server *server.Server
	at     string
	key    cryptossh.Signer
	config ssh.ServerConfig
	host   cryptossh.Signer
}

// newLab has a server all of whose destinations echo.
func newLab(t *testing.T, limits server.Limits) *lab {
	t.Helper()
	l := &lab{t: t, key: newKey(t), host: newKey(t)}
	l.config = ssh.ServerConfig{
		Node: "worker", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.3"), netip.MustParseAddr("fc00::3")},
		PodCIDRs:       []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:10:244:1::/64")},
		ServiceCIDRs:   []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		AuthorizedKeys: map[string][]string{"control-plane": {ssh.Encode(l.key.PublicKey())}},
	}
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	l.server, err = server.New(server.Options{
		Config: l.config, HostKey: l.host, Limits: limits, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", echo.Addr().String())
		},
	})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.at = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return l
}

func (l *lab) client(change func(*cryptossh.ClientConfig)) (*cryptossh.Client, error) {
	config := &cryptossh.ClientConfig{
		User: ssh.User, Auth: []cryptossh.AuthMethod{cryptossh.PublicKeys(l.key)},
		HostKeyCallback: cryptossh.FixedHostKey(l.host.PublicKey()), Timeout: limit,
	}
	if change != nil {
		change(config)
	}
	client, err := cryptossh.Dial("tcp", l.at, config)
	if err == nil {
		l.t.Cleanup(func() { _ = client.Close() })
	}
	return client, err
}

func (l *lab) refusals(reason string) string {
	l.t.Helper()
	answer := httptest.NewRecorder()
	l.server.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if count, found := strings.CutPrefix(strings.TrimSpace(line), fmt.Sprintf("kubecomm_ssh_server_refused_total{reason=%q} ", reason)); found {
			return count
		}
	}
	return "no such metric"
}

func forwardTo(host string, port uint32) []byte {
	return cryptossh.Marshal(wire.DirectTCPIP{Host: host, Port: port})
}

// echoes reports whether a destination is reached.
func echoes(client *cryptossh.Client, host string, port uint32) error {
	channel, requests, err := client.OpenChannel(wire.ChannelType, forwardTo(host, port))
	if err != nil {
		return err
	}
	defer func() { _ = channel.Close() }()
	go cryptossh.DiscardRequests(requests)
	if _, err := io.WriteString(channel, "hello"); err != nil {
		return err
	}
	if err := channel.CloseWrite(); err != nil {
		return err
	}
	heard, err := io.ReadAll(channel)
	if err == nil && string(heard) != "hello" {
		err = fmt.Errorf("%q came back", heard)
	}
	return err
}

func TestAServerForwardsToWhatBelongsToItsNodeAndNowhereElse(t *testing.T) {
	l := newLab(t, server.DefaultLimits())
	client, err := l.client(nil)
	require.NoError(t, err)
	for _, host := range []string{"172.18.0.3", "::ffff:172.18.0.3", "fc00::3", "10.244.1.77", "fd00:10:244:1::9", "10.96.0.1"} {
		require.NoError(t, echoes(client, host, 10250), host)
	}
	outside := "is no address of node worker, of its pods or of services"
	for _, test := range []struct {
		host string
		port uint32
		want string
	}{
		{"10.9.8.7", 80, "10.9.8.7:80 " + outside},
		{"172.18.0.4", 10250, "172.18.0.4:10250 " + outside},
		{"10.244.2.1", 80, "10.244.2.1:80 " + outside},
		{"127.0.0.1", 10248, "127.0.0.1:10248 " + outside},
		{"::1", 10248, "[::1]:10248 " + outside},
		{"::ffff:127.0.0.1", 10248, "127.0.0.1:10248 " + outside},
		{"0.0.0.0", 10248, "0.0.0.0:10248 " + outside},
		{"169.254.169.254", 80, "169.254.169.254:80 " + outside},
		{"fe80::1%eth0", 80, "[fe80::1%eth0]:80 " + outside},
		{"fc00::3%eth0", 80, "[fc00::3%eth0]:80 " + outside},
		{"224.0.0.1", 80, "224.0.0.1:80 " + outside},
		{"255.255.255.255", 80, "255.255.255.255:80 " + outside},
		{"worker", 10250, `"worker" is no address`},
		{"localhost", 10250, `"localhost" is no address`},
		{"", 10250, `"" is no address`},
		{"172.18.0.3", 0, "0 is no port"},
		{"172.18.0.3", 65536 + 22, "65558 is no port"},
	} {
		_, _, err := client.OpenChannel(wire.ChannelType, forwardTo(test.host, test.port))
		var refusal *cryptossh.OpenChannelError
		require.ErrorAs(t, err, &refusal, test.host)
		require.Equal(t, cryptossh.Prohibited, refusal.Reason, test.host)
		require.Equal(t, test.want, refusal.Message)
	}
	_, _, err = client.OpenChannel(wire.ChannelType, []byte("nonsense"))
	require.EqualError(t, err, `ssh: rejected: administratively prohibited (what is asked for can't be read)`)
	require.Equal(t, "18", l.refusals("destination"))
}

func TestAServerDoesNothingButForward(t *testing.T) {
	l := newLab(t, server.DefaultLimits())
	client, err := l.client(nil)
	require.NoError(t, err)
	for _, kind := range []string{
		"session", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "",
	} {
		_, _, err := client.OpenChannel(kind, nil)
		var refusal *cryptossh.OpenChannelError
		require.ErrorAs(t, err, &refusal, kind)
		require.Equal(t, cryptossh.UnknownChannelType, refusal.Reason, kind)
		require.Equal(t, fmt.Sprintf("channel %q: this server does nothing but forward", kind), refusal.Message)
	}
	_, err = client.NewSession() // without one there is neither shell nor command, agent or X11
	require.ErrorContains(t, err, `channel "session": this server does nothing but forward`)
	_, err = client.Listen("tcp", "127.0.0.1:0")
	require.EqualError(t, err, "ssh: tcpip-forward request denied by peer")
	_, err = client.ListenUnix("/tmp/x")
	require.EqualError(t, err, "ssh: streamlocal-forward@openssh.com request denied by peer")
	require.Equal(t, "10", l.refusals("not_forwarding"))

	channel, requests, err := client.OpenChannel(wire.ChannelType, forwardTo("172.18.0.3", 10250))
	require.NoError(t, err)
	go cryptossh.DiscardRequests(requests)
	for _, request := range []string{"shell", "exec", "subsystem", "pty-req", "env", "x11-req", "auth-agent-req@openssh.com"} {
		done, err := channel.SendRequest(request, true, nil)
		require.NoError(t, err)
		require.False(t, done, request)
	}
	require.NoError(t, echoes(client, "172.18.0.3", 10250), "and what it does, it still does")
}

func TestOnlyTheKnownKeyIsLetIn(t *testing.T) {
	l := newLab(t, server.DefaultLimits())
	other, third := newKey(t), newKey(t)
	refused := "no supported methods remain"
	tests := map[string]struct {
		change  func(*cryptossh.ClientConfig)
		problem string
	}{
		"another key": {func(c *cryptossh.ClientConfig) { c.Auth = []cryptossh.AuthMethod{cryptossh.PublicKeys(other)} }, refused},
		"no key":      {func(c *cryptossh.ClientConfig) { c.Auth = nil }, refused},
		"a password":  {func(c *cryptossh.ClientConfig) { c.Auth = []cryptossh.AuthMethod{cryptossh.Password("x")} }, refused},
		"many keys": {func(c *cryptossh.ClientConfig) {
			c.Auth = []cryptossh.AuthMethod{cryptossh.PublicKeys(other, third, newKey(t), l.key)}
		}, "too many authentication failures"},
		"an old key exchange":      {func(c *cryptossh.ClientConfig) { c.KeyExchanges = []string{cryptossh.KeyExchangeECDHP256} }, "no common algorithm for key exchange"},
		"an old cipher":            {func(c *cryptossh.ClientConfig) { c.Ciphers = []string{cryptossh.CipherAES256CTR} }, "no common algorithm for client to server cipher"},
		"another kind of host key": {func(c *cryptossh.ClientConfig) { c.HostKeyAlgorithms = []string{cryptossh.KeyAlgoECDSA256} }, "no common algorithm for host key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := l.client(test.change)
			require.ErrorContains(t, err, test.problem)
		})
	}
	for name, change := range map[string]func(*cryptossh.ClientConfig){
		"the key":                    nil,
		"as another user":            func(c *cryptossh.ClientConfig) { c.User = "root" }, // a name is nothing
		"the classical key exchange": func(c *cryptossh.ClientConfig) { c.KeyExchanges = []string{cryptossh.KeyExchangeCurve25519} },
		"the other cipher":           func(c *cryptossh.ClientConfig) { c.Ciphers = []string{cryptossh.CipherChaCha20Poly1305} },
	} {
		t.Run(name, func(t *testing.T) {
			client, err := l.client(change)
			require.NoError(t, err)
			require.NoError(t, echoes(client, "172.18.0.3", 10250))
		})
	}
}

func TestWhoDoesNotShowAKeyInTimeIsCutOffAndThereAreNeverManyOfThem(t *testing.T) {
	limits := server.DefaultLimits()
	limits.Strangers, limits.Handshake = 2, 300*time.Millisecond
	l := newLab(t, limits)
	began := time.Now()
	var silent []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", l.at)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.ReadFull(conn, make([]byte, len(wire.Version))) // it is being served
		require.NoError(t, err)
		silent = append(silent, conn)
	}
	_, err := l.client(nil)
	require.Error(t, err, "no more are let in")
	require.Equal(t, "1", l.refusals("too_many_unauthenticated"))
	for _, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(limit))
		_, err := io.Copy(io.Discard, conn)
		require.False(t, isTimeout(err), "%v", err)
	}
	require.Less(t, time.Since(began), limit)
	client, err := l.client(nil)
	require.NoError(t, err)
	require.NoError(t, echoes(client, "172.18.0.3", 10250))
}

func isTimeout(err error) bool {
	problem, ok := errors.AsType[net.Error](err)
	return ok && problem.Timeout()
}

func TestNoMoreIsOpenThanTheLimit(t *testing.T) {
	limits := server.DefaultLimits()
	limits.Forwards, limits.Connections = 3, 1
	l := newLab(t, limits)
	client, err := l.client(nil)
	require.NoError(t, err)
	var open []cryptossh.Channel
	for range 3 {
		channel, requests, err := client.OpenChannel(wire.ChannelType, forwardTo("172.18.0.3", 10250))
		require.NoError(t, err)
		go cryptossh.DiscardRequests(requests)
		open = append(open, channel)
	}
	err = echoes(client, "172.18.0.3", 10250)
	require.EqualError(t, err, "ssh: rejected: resource shortage (node worker has 3 connections open, and no more are let in)")
	require.NoError(t, open[0].Close())
	l.until(func() error { return echoes(client, "172.18.0.3", 10250) })

	second, err := l.client(nil)
	if err == nil { // it is known before it is too many
		err = second.Wait()
	}
	require.Error(t, err)
	require.Equal(t, "1", l.refusals("too_many_connections"))
}

func (l *lab) until(condition func() error) {
	l.t.Helper()
	require.NoError(l.t, wait.Until(l.t.Context(), "the server", wait.Options{Limit: limit, Every: 5 * time.Millisecond},
		func(context.Context) error { return condition() }))
}

func TestAKeyThatIsNotAuthorizedAnyMoreOpensNothingAndIsCutOffAfterAWhile(t *testing.T) {
	limits := server.DefaultLimits()
	limits.Drain = 300 * time.Millisecond
	l := newLab(t, limits)
	client, err := l.client(nil)
	require.NoError(t, err)
	channel, requests, err := client.OpenChannel(wire.ChannelType, forwardTo("172.18.0.3", 10250))
	require.NoError(t, err)
	go cryptossh.DiscardRequests(requests)
	other := newKey(t)
	l.config.AuthorizedKeys = map[string][]string{"control-plane": {ssh.Encode(other.PublicKey())}}
	require.NoError(t, l.server.Reload(l.config, l.host))

	err = echoes(client, "172.18.0.3", 10250)
	require.EqualError(t, err, fmt.Sprintf("ssh: rejected: administratively prohibited (key %s is not authorized any more)", ssh.Fingerprint(l.key.PublicKey())))
	_, err = io.WriteString(channel, "hello")
	require.NoError(t, err, "what is open stays for a while")
	_, err = io.ReadFull(channel, make([]byte, 5))
	require.NoError(t, err)
	require.Error(t, client.Wait(), "and not for ever")
	_, err = l.client(nil)
	require.Error(t, err)
	l.key = other
	client, err = l.client(nil)
	require.NoError(t, err)
	require.NoError(t, echoes(client, "172.18.0.3", 10250))
}

func TestAServerTellsHowItIs(t *testing.T) {
	l := newLab(t, server.DefaultLimits())
	_, err := l.client(nil)
	require.NoError(t, err)
	want := server.Status{
		Node: "worker", Config: ssh.Digest(l.config.Encode()), HostKey: ssh.Fingerprint(l.host.PublicKey()),
		Authorized: map[string][]string{"control-plane": {ssh.Fingerprint(l.key.PublicKey())}}, Connected: map[string]int{"control-plane": 1},
	}
	l.until(func() error {
		if found := l.server.Status(); found.Connected["control-plane"] != 1 {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
	require.Equal(t, want, l.server.Status())
	answer := httptest.NewRecorder()
	l.server.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	require.Equal(t, 200, answer.Code)
	require.Contains(t, answer.Body.String(), want.HostKey)
}

func TestManyClientsAtOnceAreEachServed(t *testing.T) {
	l := newLab(t, server.DefaultLimits())
	var all sync.WaitGroup
	problems := make(chan error, 16)
	for range cap(problems) {
		all.Go(func() {
			client, err := l.client(nil)
			if err == nil {
				err = echoes(client, "10.96.0.1", 443)
			}
			problems <- err
		})
	}
	all.Wait()
	for range cap(problems) {
		require.NoError(t, <-problems)
	}
}
