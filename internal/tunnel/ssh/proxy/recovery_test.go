package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

// recovers waits until a target is reached again, for which each attempt may fail, and tells how long that took.
func (l *lab) recovers(target, answer string) {
	l.t.Helper()
	began := time.Now()
	l.until(target+" to be reached", func() error {
		got, err := l.ask(target)
		if err == nil && got != answer {
			return fmt.Errorf("%q was answered", got)
		}
		return err
	})
	l.t.Logf("%s was reached again after %s", target, time.Since(began).Round(time.Millisecond))
}

func TestAServerThatWasKilledServesAgain(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	l.target("172.18.0.3:10251", echo)
	l.start(1)
	open, err := l.connect("172.18.0.3:10251")
	require.NoError(t, err)
	l.nodes[0].kill()
	_, err = io.ReadAll(open)
	require.NoError(t, err, "what was open ends")
	l.connected(0)
	asked := make(chan error, 1)
	go func() { // who dials meanwhile waits
		_, err := l.ask("172.18.0.3:10250")
		asked <- err
	}()
	l.nodes[0].start(server.DefaultLimits())
	l.recovers("172.18.0.3:10250", "its kubelet")
	require.NoError(t, <-asked)
}

func TestALinkThatWasCutServesAgain(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	ended := make(chan error, 1)
	l.target("172.18.0.3:10251", func(conn net.Conn) {
		_, err := io.Copy(io.Discard, conn)
		ended <- err
	})
	l.start(1)
	open, err := l.connect("172.18.0.3:10251")
	require.NoError(t, err)
	_, err = io.WriteString(open, "x")
	require.NoError(t, err)
	began := time.Now()
	l.net.sever(l.nodes[0].at())
	l.connected(0)
	t.Logf("a cut link was seen after %s", time.Since(began).Round(time.Millisecond))
	require.Contains(t, l.proxy.Status().Nodes[0].Error, "nothing came for ")
	_, err = io.ReadAll(open)
	require.NoError(t, err, "what was open ends")
	require.ErrorContains(t, <-ended, "connection reset", "and who is on the node doesn't take that for the end of what was said")
	l.net.mend(l.nodes[0].at())
	l.recovers("172.18.0.3:10250", "its kubelet")
	l.until("the server to have let go of what was cut", func() error {
		if count := l.nodes[0].server.Status().Connected["control-plane"]; count != 1 {
			return fmt.Errorf("%d are connected", count)
		}
		return l.nothingOpen()
	})
}

func TestWhatIsDialledWhileAProxyRestartsWaitsInTheSocket(t *testing.T) {
	l := newLab(t, 1)
	l.target("172.18.0.3:10250", says("its kubelet"))
	l.socket = filepath.Join(t.TempDir(), "held.sock")
	held, err := net.Listen("unix", l.socket) // as systemd holds it
	require.NoError(t, err)
	file, err := held.(*net.UnixListener).File()
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	begin := func() (stop func()) {
		listener, err := net.FileListener(file)
		require.NoError(t, err)
		config, err := ssh.ParseProxyConfig(l.config.Encode())
		require.NoError(t, err)
		p := proxy.New(proxy.Options{Config: config, Key: l.key, Limits: l.limits, Log: l.log, Dial: l.net.Dial})
		ctx, cancel := context.WithCancel(t.Context())
		stopped, ended := p.Start(ctx), make(chan error, 1)
		go func() { ended <- p.Serve(ctx, listener) }()
		return func() {
			cancel()
			stopped()
			require.NoError(t, <-ended)
		}
	}
	stop := begin()
	l.reaches("172.18.0.3:10250", "its kubelet")
	stop()
	asked := make(chan error, 1)
	go func() {
		_, err := l.ask("172.18.0.3:10250")
		asked <- err
	}()
	stop = begin()
	defer stop()
	require.NoError(t, <-asked)
}

func TestKeysRotateWithoutAFailedRequestAndWhatIsOpenStays(t *testing.T) {
	l := newLab(t, 2)
	l.target("172.18.0.3:10250", says("its kubelet"))
	l.target("172.18.0.3:10251", echo)
	l.start(2)
	open, err := l.connect("172.18.0.3:10251")
	require.NoError(t, err)
	n := l.nodes[0]
	other := l.proxy.Status().Nodes[1]

	ctx, cancel := context.WithCancel(t.Context())
	var requests sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	served := 0
	for range 4 {
		requests.Go(func() {
			for ctx.Err() == nil {
				got, err := l.ask("172.18.0.3:10250")
				if err == nil && got != "its kubelet" {
					err = fmt.Errorf("%q was answered", got)
				}
				mu.Lock()
				served++
				if err != nil {
					failures = append(failures, err)
				}
				mu.Unlock()
			}
		})
	}
	stays := func(when string) {
		t.Helper()
		_, err := io.WriteString(open, when)
		require.NoError(t, err, when)
		got := make([]byte, len(when))
		_, err = io.ReadFull(open, got)
		require.NoError(t, err, when)
		require.Equal(t, when, string(got))
	}
	uses := func(what string, property func(proxy.NodeStatus) string, want string) {
		t.Helper()
		l.until(what, func() error {
			if status := l.proxy.Status().Nodes[0]; property(status) != want || !status.Connected {
				return fmt.Errorf("%+v", status)
			}
			return nil
		})
	}
	stays("before")

	// The proxy's key: each end takes both, then the new one is used, then the old one goes.
	newKey1, oldKey := newKey(t), l.key
	for _, each := range l.nodes {
		each.reload(func(c *ssh.ServerConfig) {
			c.AuthorizedKeys["control-plane"] = []string{publicKey(oldKey), publicKey(newKey1)}
		})
	}
	l.key = newKey1
	l.reload(func(*ssh.ProxyConfig) {})
	uses("the new key to be used", func(s proxy.NodeStatus) string { return s.Key }, ssh.Fingerprint(newKey1.PublicKey()))
	stays("with another key")

	// The node's host key: the proxy pins both, then the server shows the new one, then the old one goes.
	oldHost, newHost := n.key, newKey(t)
	l.reload(func(c *ssh.ProxyConfig) { c.Nodes[0].HostKeys = []string{publicKey(oldHost), publicKey(newHost)} })
	n.key = newHost
	n.reload(func(*ssh.ServerConfig) {})
	require.Equal(t, ssh.Fingerprint(newHost.PublicKey()), n.server.Status().HostKey)
	l.reload(func(c *ssh.ProxyConfig) { c.Nodes[0].HostKeys = []string{publicKey(newHost)} })
	uses("the new host key to be seen", func(s proxy.NodeStatus) string { return s.HostKey }, ssh.Fingerprint(newHost.PublicKey()))
	stays("with another host key")

	// The old key goes from the servers: what is open by it may end by itself.
	for _, each := range l.nodes {
		each.reload(func(c *ssh.ServerConfig) { c.AuthorizedKeys["control-plane"] = []string{publicKey(newKey1)} })
	}
	stays("after")
	cancel()
	requests.Wait()
	require.Empty(t, failures)
	t.Logf("%d requests were served meanwhile", served)
	require.Positive(t, served)
	require.NotEqual(t, other.Key, l.proxy.Status().Nodes[1].Key)

	l.key = oldKey // positive control: the old one is nobody's any more
	l.reload(func(*ssh.ProxyConfig) {})
	l.until("the old key to be refused", func() error {
		if !contains(l.logs, fmt.Sprintf(`msg="refused: key %s is not authorized"`, ssh.Fingerprint(oldKey.PublicKey()))) {
			return io.ErrNoProgress
		}
		return nil
	})
}

func TestAnotherConfigurationLeavesConnectionsThatItDoesNotChange(t *testing.T) {
	l := newLab(t, 2)
	l.start(2)
	before := l.proxy.Status()
	l.reload(func(c *ssh.ProxyConfig) {
		c.Nodes[1].HostKeys = append(slices.Clone(c.Nodes[1].HostKeys), publicKey(newKey(t)))
		c.Nodes[1].PodCIDRs = nil
	})
	after := l.proxy.Status()
	require.NotEqual(t, before.Config, after.Config)
	require.Equal(t, ssh.Digest(l.config.Encode()), after.Config)
	require.Equal(t, before.Nodes, after.Nodes)
	require.Equal(t, 1, l.net.dialled(l.nodes[0].at()))
	l.reload(func(c *ssh.ProxyConfig) { c.Nodes[1].HostKeys = []string{publicKey(newKey(t))} })
	l.connected(1)
}
