package proxy_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/route"
)

func TestAnAPIServerReachesNodesPodsAndServices(t *testing.T) {
	l := newLab(t, 2)
	for address, answer := range map[string]string{
		"172.18.0.3:10250": "worker's kubelet", "172.18.0.4:10250": "worker2's kubelet", "10.244.2.9:80": "a pod", "10.96.0.10:443": "a service",
	} {
		l.target(address, says(answer))
	}
	l.start(2)
	l.reaches("172.18.0.3:10250", "worker's kubelet")
	l.reaches("[::ffff:172.18.0.3]:10250", "worker's kubelet")
	l.reaches("worker2:10250", "worker2's kubelet")
	l.reaches("10.244.2.9:80", "a pod")
	l.reaches("10.96.0.10:443", "a service")

	require.InDelta(t, 2, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_connected"), 0)
	require.InDelta(t, 5, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total", `result="ok"`), 0)
	require.InDelta(t, 2, metric(t, l.nodes[0].server.Handler(), "kubecomm_ssh_server_forwards_total")+
		metric(t, l.nodes[1].server.Handler(), "kubecomm_ssh_server_forwards_total")-3, 0)
	l.until("all to be closed", func() error { return l.nothingOpen() })
	require.InDelta(t, len("worker's kubelet")*2, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_bytes_total", `node="worker"`, `direction="from_node"`)-
		serviceBytes(t, l), 0)
}

// serviceBytes are those of the service, if it was reached through the first worker.
func serviceBytes(t *testing.T, l *lab) float64 {
	t.Helper()
	return (metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total", `node="worker"`) - 2) * float64(len("a service"))
}

func (l *lab) nothingOpen() error {
	open := metric(l.t, l.proxy.Handler(), "kubecomm_ssh_proxy_connections")
	for _, n := range l.nodes {
		open += metric(l.t, n.server.Handler(), "kubecomm_ssh_server_forwards_open")
	}
	if open != 0 {
		return io.ErrNoProgress
	}
	return nil
}

func TestTheAnswerToAConnectIsItsHeadersAlone(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", echo)
	l.start(1)
	conn, err := net.Dial("unix", l.socket)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "CONNECT 172.18.0.3:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nearly")
	require.NoError(t, err)
	want := "HTTP/1.1 200 OK\r\n\r\nearly" // what comes with the request is carried too
	got := make([]byte, len(want))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestWhatSpeaksBeforeItIsSpokenToIsHeard(t *testing.T) {
	l := newLab(t, 1)
	l.target("10.244.1.7:80", func(conn net.Conn) { _, _ = io.WriteString(conn, "welcome") })
	l.start(1)
	conn, err := net.Dial("unix", l.socket)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "CONNECT 10.244.1.7:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	require.NoError(t, err)
	got := make([]byte, len("HTTP/1.1 200 OK\r\n\r\nwelcome"))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200 OK\r\n\r\nwelcome", string(got))
}

func TestWhoHasSaidAllStillHearsTheAnswer(t *testing.T) {
	l := newLab(t, 1)
	l.target("10.244.1.7:80", func(conn net.Conn) { // answers only when it has heard the end
		heard, _ := io.ReadAll(conn)
		_, _ = conn.Write(append([]byte("heard "), heard...))
	})
	l.target("10.244.1.7:81", func(conn net.Conn) { // says all, and then listens
		_, _ = conn.Read(make([]byte, 1))
		_, _ = io.WriteString(conn, "first")
		_ = conn.(*net.TCPConn).CloseWrite()
		heard, _ := io.ReadAll(conn)
		l.log.Info("heard to the end", "what", string(heard))
	})
	l.start(1)
	conn, err := l.connect("10.244.1.7:80")
	require.NoError(t, err)
	_, err = io.WriteString(conn, "all")
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "heard all", string(answer))

	conn, err = l.connect("10.244.1.7:81")
	require.NoError(t, err)
	_, err = io.WriteString(conn, "?")
	require.NoError(t, err)
	answer, err = io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "first", string(answer))
	_, err = io.WriteString(conn, "second")
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	l.until("the target to have heard", func() error {
		if !contains(l.logs, `msg="heard to the end" what=second`) {
			return io.ErrNoProgress
		}
		return nil
	})
}

func TestServicesAreReachedThroughControlPlanesOnlyWhereThereAreNoOtherNodes(t *testing.T) {
	l := newLab(t, 3)
	l.config.Nodes[0].ControlPlane = true
	l.target("10.96.0.10:443", says("a service"))
	l.start(3)
	for range 8 {
		l.reaches("10.96.0.10:443", "a service")
	}
	count := func(node string) float64 {
		return metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total", `node="`+node+`"`)
	}
	require.Zero(t, count("worker"))
	require.Positive(t, count("worker2"))
	require.Positive(t, count("worker3"))
	l.nodes[1].kill()
	l.nodes[2].kill()
	l.connected(1)
	_, err := l.ask("10.96.0.10:443")
	require.ErrorContains(t, err, "no node is connected by which services could be reached", "they would go on past the tunnel")
	unpinned := route.Node{Name: "joined", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.99")}}
	l.proxy.SetNodes([]proxy.Node{{Node: l.nodes[0].told().Node, ControlPlane: true}, {Node: unpinned}})
	l.reaches("10.96.0.10:443", "a service")
	require.InDelta(t, 1, count("worker"), 0)
}

func (n *node) told() proxy.Node {
	return proxy.Node{Node: route.Node{Name: n.Name, Addresses: n.Addresses, PodCIDRs: n.PodCIDRs}}
}

func TestWhatTheAPITellsOfNodesCounts(t *testing.T) {
	l := newLab(t, 2)
	l.target("172.18.0.3:10250", says("worker's kubelet"))
	l.target("172.18.0.4:10250", says("worker2's kubelet"))
	l.target("10.244.1.9:80", says("a pod"))
	l.start(2)
	l.reaches("172.18.0.4:10250", "worker2's kubelet")

	l.proxy.SetNodes([]proxy.Node{l.nodes[0].told()})
	_, err := l.ask("172.18.0.4:10250")
	require.EqualError(t, err, "502 no node has it: 172.18.0.4 is no address of a node, a pod or a service")
	l.reaches("172.18.0.3:10250", "worker's kubelet")
	l.connected(1)
	require.Zero(t, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total", `node="worker2"`), "its metrics are gone too")

	l.reaches("10.244.1.9:80", "a pod")
	moved, emptied := l.nodes[1].told(), l.nodes[0].told()
	moved.PodCIDRs, emptied.PodCIDRs = emptied.PodCIDRs, nil
	l.proxy.SetNodes([]proxy.Node{emptied, moved})
	_, err = l.ask("10.244.1.9:80")
	require.EqualError(t, err, "502 10.244.1.9:80 is no address of node worker2, of its pods or of services", "asked is who has the range now")
	l.nodes[1].reload(func(c *ssh.ServerConfig) { c.PodCIDRs = moved.PodCIDRs })
	l.reaches("10.244.1.9:80", "a pod")
}

func TestWhoWaitsForANodeStopsWhenItIsDeleted(t *testing.T) {
	l := newLab(t, 2)
	l.nodes[1].kill()
	l.start(1)
	asked := make(chan error, 1)
	go func() {
		_, err := l.ask("172.18.0.4:10250")
		asked <- err
	}()
	began := l.net.dialled(l.nodes[1].at())
	l.until("another attempt", func() error {
		if l.net.dialled(l.nodes[1].at()) < began+2 {
			return io.ErrNoProgress
		}
		return nil
	})
	require.Empty(t, asked, "it waits")
	l.proxy.SetNodes([]proxy.Node{l.nodes[0].told()})
	require.EqualError(t, <-asked, "502 node worker2 no longer exists")
}

func TestANodeThatJoinedIsReachedOnceItsHostKeyIsPinned(t *testing.T) {
	l := newLab(t, 1)
	l.start(1)
	joined := l.addNode(1)
	l.target("172.18.0.4:10250", says("its kubelet"))
	l.proxy.SetNodes([]proxy.Node{l.nodes[0].told(), joined.told()})
	began := time.Now()
	_, err := l.ask("172.18.0.4:10250")
	require.EqualError(t, err, "502 node worker2 has no pinned host key: apply the kubecomm_hardening again")
	require.Less(t, time.Since(began), l.limits.Dial, "nobody waits for what only an apply mends")
	require.Zero(t, l.net.dialled(joined.at()))
	require.Equal(t, "node worker2 has no pinned host key: apply the kubecomm_hardening again", l.proxy.Status().Nodes[1].Error)
	require.False(t, l.proxy.Status().Ready())

	l.reload(func(*ssh.ProxyConfig) {}) // to which it was added
	l.reaches("172.18.0.4:10250", "its kubelet")
	require.True(t, l.proxy.Status().Ready())
}

func TestANodeIsReachedByTheAddressThatItHasNow(t *testing.T) {
	l := newLab(t, 1)
	l.start(1)
	moved := l.nodes[0].told()
	moved.Addresses = []netip.Addr{netip.MustParseAddr("172.18.0.77")}
	l.net.mu.Lock()
	l.net.to[netip.MustParseAddrPort("172.18.0.77:22")] = l.nodes[0].listen.Addr().String()
	l.net.mu.Unlock()
	l.proxy.SetNodes([]proxy.Node{moved})
	l.until("another connection", func() error {
		if address := l.proxy.Status().Nodes[0].Address; address != "172.18.0.77:22" {
			return io.ErrNoProgress
		}
		return nil
	})
}
