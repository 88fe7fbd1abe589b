package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

func TestAServerWithAnotherHostKeyInItsPlaceIsRefusedAndToldOfOnce(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	l.start(1)
	l.reaches("172.18.0.3:10250", "its kubelet")

	n, right, wrong := l.nodes[0], l.nodes[0].key, newKey(t)
	n.kill()
	l.connected(0)
	n.key = wrong
	n.start(server.DefaultLimits())
	want := fmt.Sprintf("node worker shows host key %s, where %s is pinned", ssh.Fingerprint(wrong.PublicKey()), ssh.Fingerprint(right.PublicKey()))
	l.until("the other key to be seen", func() error {
		if status := l.proxy.Status().Nodes[0]; status.OtherHostKey != ssh.Fingerprint(wrong.PublicKey()) || status.Error != want {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	began := time.Now()
	_, err := l.ask("172.18.0.3:10250")
	require.EqualError(t, err, "502 "+want)
	require.Less(t, time.Since(began), l.limits.Dial)
	require.InDelta(t, 1, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dial_failures_total", `reason="other_host_key"`), 0)
	seen := l.net.dialled(n.at())
	l.until("more attempts", func() error {
		if l.net.dialled(n.at()) < seen+3 {
			return io.ErrNoProgress
		}
		return nil
	})
	require.Equal(t, 1, count(l.logs, `level=ERROR msg="`+want), "it is told of when it changes, and not with each attempt")
	require.Contains(t, get(t, l.proxy.Handler(), "/readyz"), ssh.Fingerprint(wrong.PublicKey()))

	n.kill()
	n.key = right
	n.start(server.DefaultLimits())
	l.connected(1)
	l.reaches("172.18.0.3:10250", "its kubelet")
}

func TestAProxyWithAnotherKeyIsRefused(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	right, wrong := l.key, newKey(t)
	l.key, l.limits.Dial = wrong, time.Second
	l.start(0)
	want := fmt.Sprintf("connecting to node worker at 172.18.0.3:22: it doesn't let key %s in", ssh.Fingerprint(wrong.PublicKey()))
	l.until("the refusal to be seen", func() error {
		if status := l.proxy.Status().Nodes[0]; status.Error != want {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	_, err := l.ask("172.18.0.3:10250")
	require.EqualError(t, err, "504 it took too long: "+want)
	require.Contains(t, l.logs.String(), fmt.Sprintf(`msg="refused: key %s is not authorized"`, ssh.Fingerprint(wrong.PublicKey())))
	require.Positive(t, metric(t, l.nodes[0].server.Handler(), "kubecomm_ssh_server_refused_total", `reason="key"`))
	require.Zero(t, metric(t, l.nodes[0].server.Handler(), "kubecomm_ssh_server_accepted_total"))

	l.key = right
	l.reload(func(*ssh.ProxyConfig) {})
	l.reaches("172.18.0.3:10250", "its kubelet")
}

func TestAForwardToADestinationOutsideOfTheNodeIsRefused(t *testing.T) {
	l := newLab(t, 1)
	foreign := netip.MustParsePrefix("10.9.8.0/24") // which the proxy takes for the node's, and the server doesn't
	l.config.Nodes[0].PodCIDRs = append(l.config.Nodes[0].PodCIDRs, foreign)
	l.target("10.9.8.7:80", says("what nobody shall reach"))
	l.target("10.244.1.7:80", says("a pod"))
	l.start(1)
	_, err := l.ask("10.9.8.7:80")
	require.EqualError(t, err, "502 10.9.8.7:80 is no address of node worker, of its pods or of services")
	require.InDelta(t, 1, metric(t, l.nodes[0].server.Handler(), "kubecomm_ssh_server_refused_total", `reason="destination"`), 0)
	require.InDelta(t, 1, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dial_failures_total", `reason="refused"`, `node="worker"`), 0)
	require.Zero(t, l.net.dialled(netip.MustParseAddrPort("10.9.8.7:80")))
	l.reaches("10.244.1.7:80", "a pod")
	l.nodes[0].reload(func(c *ssh.ServerConfig) { c.PodCIDRs = append(c.PodCIDRs, foreign) })
	l.reaches("10.9.8.7:80", "what nobody shall reach")
}

func TestWhatCannotBeReachedIsSaidWithTheReason(t *testing.T) {
	l := newLab(t, 1)
	silent := netip.MustParseAddrPort("10.244.1.9:80")
	l.net.cut[silent] = true
	l.nodes[0].kill()
	limits := server.DefaultLimits()
	limits.Target = 50 * time.Millisecond
	l.nodes[0].start(limits)
	l.target("10.244.1.7:80", says("a pod"))
	l.start(1)
	for target, want := range map[string]string{
		"10.244.1.8:80":  "502 node worker could not connect to 10.244.1.8:80: dial tcp 10.244.1.8:80: connect: connection refused",
		"10.244.1.9:80":  "504 connecting to 10.244.1.9:80 from node worker timed out after 50ms",
		"192.0.2.1:80":   "502 no node has it: 192.0.2.1 is no address of a node, a pod or a service",
		"example.com:80": "502 no node has it: example.com is the name of no node",
		"10.244.1.7:0":   "400 Bad Request",
		"10.244.1.7":     "400 Bad Request",
		"[fe80::1%25]:1": "400 Bad Request",
	} {
		_, err := l.ask(target)
		require.EqualError(t, err, want, target)
	}
	l.reaches("10.244.1.7:80", "a pod")
}

func TestADialToANodeThatIsAwayEndsAtTheLimit(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	l.limits.Dial = 200 * time.Millisecond
	l.nodes[0].kill()
	l.start(0)
	_, err := l.ask("172.18.0.3:10250")
	require.ErrorContains(t, err, "504 it took too long: ")
	_, err = l.ask("10.96.0.10:443")
	require.EqualError(t, err, "504 it took too long: no node is connected by which services could be reached")
	require.InDelta(t, 2, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total", `result="timeout"`), 0)
	l.nodes[0].start(server.DefaultLimits())
	l.connected(1)
	l.reaches("172.18.0.3:10250", "its kubelet")
}

func TestNothingButAConnectIsAnswered(t *testing.T) {
	l := newLab(t, 1)
	l.start(1)
	for request, want := range map[string]string{
		"GET http://172.18.0.3:10250/ HTTP/1.1\r\nHost: 172.18.0.3\r\n\r\n":                              "HTTP/1.1 405 Method Not Allowed\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                          "HTTP/1.1 405 Method Not Allowed\r\n",
		"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n":                                  "HTTP/1.1 405 Method Not Allowed\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                               "HTTP/1.1 405 Method Not Allowed\r\n",
		"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n":                                                         "HTTP/1.1 400 Bad Request\r\n",
		"CONNECT 172.18.0.3:10250 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":                   "HTTP/1.1 400 Bad Request\r\n",
		"CONNECT 172.18.0.3:10250 HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n": "HTTP/1.1 431 ",
		"nonsense\r\n\r\n": "HTTP/1.1 400 Bad Request\r\n",
	} {
		conn, err := net.Dial("unix", l.socket)
		require.NoError(t, err)
		_, _ = io.WriteString(conn, request)
		got := make([]byte, len(want))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err, request)
		require.Equal(t, want, string(got), request)
		_ = conn.Close()
	}
	require.Zero(t, metric(t, l.proxy.Handler(), "kubecomm_ssh_proxy_dials_total"))
}
