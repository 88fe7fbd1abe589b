package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// recovery is how soon a tunnel has to serve again after whatever happened to it.
const recovery = 10 * time.Second

// network leads from a cluster's addresses to sockets on the loopback address.
type network struct {
	mu    sync.Mutex
	to    map[netip.AddrPort]string
	cut   map[netip.AddrPort]bool
	pipes map[netip.AddrPort][]*pipe
	dials map[netip.AddrPort]int
}

// pipe is a connection that a network can stop without closing it.
type pipe struct {
	wireSocket
	mu      sync.Mutex
	flows   *sync.Cond
	stopped bool
	closed  bool
}

type wireSocket interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

func newPipe(conn net.Conn) *pipe {
	p := &pipe{wireSocket: conn.(wireSocket)}
	p.flows = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stopped && !p.closed {
		p.flows.Wait()
	}
}

func (p *pipe) Read(data []byte) (int, error) {
	n, err := p.wireSocket.Read(data)
	p.await()
	return n, err
}

func (p *pipe) Write(data []byte) (int, error) {
	p.await()
	return p.wireSocket.Write(data)
}

func (p *pipe) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.flows.Broadcast()
}

func (p *pipe) Close() error {
	p.set(func() { p.closed = true })
	return p.wireSocket.Close()
}

func (n *network) Dial(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	socket, there := n.to[address]
	cut := n.cut[address]
	n.dials[address]++
	n.mu.Unlock()
	if cut {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if !there {
		return nil, fmt.Errorf("dial tcp %s: connect: connection refused", address)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", socket)
	if err != nil {
		return nil, err
	}
	p := newPipe(conn)
	n.mu.Lock()
	n.pipes[address] = append(n.pipes[address], p)
	n.mu.Unlock()
	return p, nil
}

// sever stops whatever goes to an address, and nothing is closed.
func (n *network) sever(address netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[address] = true
	for _, p := range n.pipes[address] {
		p.set(func() { p.stopped = true })
	}
}

func (n *network) mend(address netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[address] = false
	for _, p := range n.pipes[address] {
		p.set(func() { p.stopped = false })
	}
}

func (n *network) dialled(address netip.AddrPort) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[address]
}

// logs are what was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// node has a server that can be killed and started.
type node struct {
	ssh.Node
	lab    *lab
	key    cryptossh.Signer
	config ssh.ServerConfig
	server *server.Server
	listen net.Listener
	kill   func()
}

// lab is a control plane with a proxy, and nodes.
type lab struct {
	t      *testing.T
	net    *network
	logs   *logs
	log    *slog.Logger
	key    cryptossh.Signer
	nodes  []*node
	config ssh.ProxyConfig
	proxy  *proxy.Proxy
	limits proxy.Limits
	socket string
	stop   func()
}

func newKey(t testing.TB) cryptossh.Signer {
	t.Helper()
	key, _, err := ssh.NewKey("")
	require.NoError(t, err)
	signer, err := ssh.ParseKey(key.Reveal())
	require.NoError(t, err)
	return signer
}

func publicKey(signer cryptossh.Signer) string { return ssh.Encode(signer.PublicKey()) }

// newLab has nodes called worker, worker2 and so on, at 172.18.0.3 and so on, with pods in 10.244.1.0/24 and so on.
func newLab(t *testing.T, workers int) *lab {
	t.Helper()
	l := &lab{
		t: t, logs: &logs{}, key: newKey(t), limits: proxy.DefaultLimits(), socket: filepath.Join(t.TempDir(), "proxy.sock"),
		net: &network{
			to: map[netip.AddrPort]string{}, cut: map[netip.AddrPort]bool{}, pipes: map[netip.AddrPort][]*pipe{}, dials: map[netip.AddrPort]int{},
		},
	}
	l.log = slog.New(slog.NewTextHandler(l.logs, nil))
	l.config = ssh.ProxyConfig{
		Node: "control-plane", Server: "https://127.0.0.1:6443", ServerName: "kubernetes", Namespace: "kube-system", ServiceAccount: ssh.ProxyAccount,
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	}
	for i := range workers {
		l.addNode(i)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.logs)
		}
		for _, n := range l.nodes {
			n.kill()
		}
	})
	return l
}

func (l *lab) addNode(i int) *node {
	l.t.Helper()
	name := "worker" + strings.TrimPrefix(fmt.Sprint(i+1), "1")
	key := newKey(l.t)
	n := &node{lab: l, key: key, Node: ssh.Node{
		Name: name, Port: 22, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, byte(3 + i)})},
		PodCIDRs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(1 + i), 0}), 24)}, HostKeys: []string{publicKey(key)},
	}}
	n.config = ssh.ServerConfig{
		Node: name, Addresses: n.Addresses, PodCIDRs: n.PodCIDRs, ServiceCIDRs: l.config.ServiceCIDRs,
		AuthorizedKeys: map[string][]string{"control-plane": {publicKey(l.key)}},
	}
	n.start(server.DefaultLimits())
	l.nodes = append(l.nodes, n)
	l.config.Nodes = append(l.config.Nodes, n.Node)
	return n
}

func (n *node) at() netip.AddrPort { return netip.AddrPortFrom(n.Addresses[0], n.Port) }

func (n *node) start(limits server.Limits) {
	t := n.lab.t
	t.Helper()
	config, err := ssh.ParseServerConfig(n.config.Encode())
	require.NoError(t, err)
	n.server, err = server.New(server.Options{Config: config, HostKey: n.key, Limits: limits, Log: n.lab.log.With("server", n.Name), Dial: n.lab.net.Dial})
	require.NoError(t, err)
	n.listen, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.lab.net.mu.Lock()
	n.lab.net.to[n.at()] = n.listen.Addr().String()
	n.lab.net.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	running, listener := n.server, n.listen
	go func() { ended <- running.Serve(ctx, listener) }()
	n.kill = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// start runs a proxy; it returns when that has connected to all that it shall.
func (l *lab) start(connected int) {
	l.t.Helper()
	config, err := ssh.ParseProxyConfig(l.config.Encode())
	require.NoError(l.t, err)
	l.proxy = proxy.New(proxy.Options{Config: config, Key: l.key, Limits: l.limits, Log: l.log.With("proxy", "control-plane"), Dial: l.net.Dial})
	listener, err := net.Listen("unix", l.socket)
	require.NoError(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := l.proxy.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.proxy.Serve(ctx, listener) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		stopped()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(l.stop)
	l.connected(connected)
}

func (l *lab) connected(count int) {
	l.t.Helper()
	l.until("nodes to be connected", func() error {
		if status := l.proxy.Status(); status.Connected != count {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
}

func (l *lab) until(what string, condition func() error) {
	l.t.Helper()
	require.NoError(l.t, wait.Until(l.t.Context(), what, wait.Options{Limit: recovery, Every: 5 * time.Millisecond},
		func(context.Context) error { return condition() }))
}

// target answers at an address of the cluster's.
func (l *lab) target(address string, answer func(net.Conn)) {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = listener.Close() })
	l.net.mu.Lock()
	l.net.to[netip.MustParseAddrPort(address)] = listener.Addr().String()
	l.net.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				answer(conn)
			}()
		}
	}()
}

func echo(conn net.Conn) {
	_, _ = io.Copy(conn, conn)
	_ = conn.(*net.TCPConn).CloseWrite()
}

// says answers with a text, whatever it is sent.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = io.WriteString(conn, text)
	}
}

// connect does what an apiserver does (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/egress_selector.go, tunnelHTTPConnect).
func (l *lab) connect(target string) (*net.UnixConn, error) {
	conn, err := net.Dial("unix", l.socket)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, "127.0.0.1"); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // what follows is no body
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	switch {
	case response.StatusCode != http.StatusOK:
		_ = conn.Close()
		return nil, errors.New(response.Status)
	case reader.Buffered() > 0:
		_ = conn.Close()
		return nil, fmt.Errorf("%d bytes more than an answer", reader.Buffered())
	}
	return conn.(*net.UnixConn), nil
}

// ask sends a byte, and returns all of the answer.
func (l *lab) ask(target string) (string, error) {
	conn, err := l.connect(target)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(recovery))
	if _, err := conn.Write([]byte("?")); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func (l *lab) reaches(target, answer string) {
	l.t.Helper()
	got, err := l.ask(target)
	require.NoError(l.t, err, target)
	require.Equal(l.t, answer, got, target)
}

// metric is the sum of a metric's values whose labels have all of these.
func metric(t testing.TB, handler http.Handler, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(get(t, handler, "/metrics")) {
		var value float64
		head, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		bare, _, _ := strings.Cut(head, "{")
		if bare != name || slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(head, label) }) {
			continue
		}
		_, err := fmt.Sscan(text, &value)
		require.NoError(t, err)
		sum += value
	}
	return sum
}

func get(t testing.TB, handler http.Handler, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	require.NoError(t, err)
	answer := &recorder{header: http.Header{}}
	handler.ServeHTTP(answer, request)
	return answer.body.String()
}

type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// reload has the proxy take a changed configuration up.
func (l *lab) reload(change func(*ssh.ProxyConfig)) {
	l.t.Helper()
	l.config.Nodes = slices.Clone(l.config.Nodes)
	change(&l.config)
	config, err := ssh.ParseProxyConfig(l.config.Encode())
	require.NoError(l.t, err)
	l.proxy.Reload(config, l.key)
}

// reload has the node's server do so.
func (n *node) reload(change func(*ssh.ServerConfig)) {
	n.lab.t.Helper()
	n.config.AuthorizedKeys = maps.Clone(n.config.AuthorizedKeys)
	change(&n.config)
	config, err := ssh.ParseServerConfig(n.config.Encode())
	require.NoError(n.lab.t, err)
	require.NoError(n.lab.t, n.server.Reload(config, n.key))
}
