package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
)

// exec is the way that is tried where one is enough.
func (l *lab) exec(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wayLimit)
	defer cancel()
	return l.podOn(l.worker()).Echo(ctx)
}

func nodeIn(t *testing.T, observed apply.Observation, node *cluster.Node) apply.NodeObservation {
	t.Helper()
	i := slices.IndexFunc(observed.Nodes, func(each apply.NodeObservation) bool { return each.Name == node.Name() })
	require.GreaterOrEqual(t, i, 0, "node %s wasn't observed", node.Name())
	return observed.Nodes[i]
}

// requireDrift expects that an observation doesn't show the tunnel that is declared. Of a tunnel as it should be, it does.
func requireDrift(t *testing.T, before, observed apply.Observation) {
	t.Helper()
	table := settings.Table()
	i := slices.IndexFunc(table, func(s settings.Setting) bool { return s.Name == settings.NameTunnelMode })
	require.GreaterOrEqual(t, i, 0)
	held := settings.Value{string(settings.SSH)}
	require.Equal(t, held, before.Value(table[i], held, held))
	require.Equal(t, settings.Value{string(settings.NoTunnel)}, observed.Value(table[i], held, held))
}

// mends has an apply put right what is wrong, and leaves the wall raised.
func mends(ctx context.Context, t *testing.T, l *lab, w wall) apply.Observation {
	t.Helper()
	observed := l.apply(ctx, t, settings.SSH)
	require.NoError(t, l.kind.whole(l, observed))
	took, err := l.recovery(ctx)
	require.NoError(t, err)
	t.Logf("mended: logs and exec work again after %s", took)
	assert.LessOrEqual(t, took, recoveryLimit)
	requireTunnelAlone(ctx, t, l, w)
	return observed
}

// refusesHostKey has the worker's server be one that has another key than its file.
func refusesHostKey(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, l.exec(ctx))
	require.NoError(t, w.lower(ctx))
	before := l.observe(ctx, t)
	pinned := nodeIn(t, before, l.worker()).SSH.Server.Key.Fingerprint()
	require.NoError(t, w.raise(ctx))
	failures := func() int {
		count, err := counter(ctx, l.controlPlane(), ssh.ProxyHealthPort, "kubecomm_ssh_proxy_dial_failures_total",
			metrics.Labels{"reason": "other_host_key", "node": l.worker().Name()})
		require.NoError(t, err)
		return count
	}
	refusedBefore := failures()

	key, file, err := replaceKey(ctx, l.worker(), ssh.ServerKey, ssh.ServerService)
	require.NoError(t, err)
	require.NoError(t, l.worker().WriteFile(ctx, ssh.ServerKey, file)) // the file is what it was
	other := ssh.Fingerprint(key.PublicKey())
	require.NotEqual(t, pinned, other)
	want := fmt.Sprintf("node %s shows host key %s, where %s is pinned", l.worker().Name(), other, pinned)
	require.NoError(t, l.waitProxy(ctx, "the proxy to see the other host key", func(status proxy.Status) error {
		if node := statusOf(status, l.worker()); node.OtherHostKey != other || node.Error != want || status.Ready() {
			return fmt.Errorf("it says: %+v", status)
		}
		return nil
	}))
	err = l.exec(ctx)
	require.ErrorContains(t, err, want)
	t.Logf("with another host key: %v", err)
	assert.Greater(t, failures(), refusedBefore)
	require.NoError(t, waitLogged(ctx, l.controlPlane(), ssh.ProxyService, want))

	require.NoError(t, w.lower(ctx))
	observed := l.observe(ctx, t)
	requireDrift(t, before, observed)
	require.EqualError(t, observed.SSHProxyProblem(nodeIn(t, observed, l.controlPlane())),
		fmt.Sprintf("node %s has shown host key %s, which isn't its own, %s", l.worker().Name(), other, pinned))
	require.EqualError(t, observed.SSHServerProblem(nodeIn(t, observed, l.worker())),
		fmt.Sprintf("its host key is %s, to be %s", other, pinned))

	observed = mends(ctx, t, l, w)
	assert.Equal(t, pinned, nodeIn(t, observed, l.worker()).SSH.Server.Key.Fingerprint(), "the worker has the key that it had")
}

// refusesClientKey has the control plane's proxy be one whose key no server knows.
func refusesClientKey(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, l.exec(ctx))
	require.NoError(t, w.lower(ctx))
	before := l.observe(ctx, t)
	require.NoError(t, w.raise(ctx))
	right, err := keyOn(ctx, l.controlPlane(), ssh.ProxyKey)
	require.NoError(t, err)
	refusals := func() int { return l.refusals(ctx, t, "key") }
	refusedBefore := refusals()

	key, _, err := replaceKey(ctx, l.controlPlane(), ssh.ProxyKey, ssh.ProxyService)
	require.NoError(t, err)
	other := ssh.Fingerprint(key.PublicKey())
	want := fmt.Sprintf("connecting to node %s at %s: it doesn't let key %s in", l.worker().Name(),
		netip.AddrPortFrom(l.worker().Addresses()[0], l.port()), other)
	require.NoError(t, l.waitProxy(ctx, "the proxy to be refused", func(status proxy.Status) error {
		if node := statusOf(status, l.worker()); node.Connected || node.Error != want || status.Ready() {
			return fmt.Errorf("it says: %+v", status)
		}
		return nil
	}))
	err = l.exec(ctx)
	require.ErrorContains(t, err, "it took too long: "+want)
	t.Logf("with another key: %v", err)
	assert.Greater(t, refusals(), refusedBefore)
	require.NoError(t, waitLogged(ctx, l.worker(), ssh.ServerService, "refused: key "+other+" is not authorized"))

	require.NoError(t, w.lower(ctx))
	observed := l.observe(ctx, t)
	requireDrift(t, before, observed)
	require.ErrorContains(t, observed.SSHProxyProblem(nodeIn(t, observed, l.controlPlane())), "it doesn't let key "+other+" in")
	host := nodeIn(t, observed, l.worker()).SSH.Server.Key
	client, err := l.connect(ctx, right, host)
	require.NoError(t, err, "who has the right key is let in meanwhile")
	require.NoError(t, client.Close())

	mends(ctx, t, l, w) // servers are told of the key that the proxy has in its file
	_, err = l.connect(ctx, right, host)
	require.ErrorContains(t, err, "unable to authenticate", "the key that it had is nobody's any more")
}

// refusals are how often the worker's server has refused something for a reason.
func (l *lab) refusals(ctx context.Context, t *testing.T, reason string) int {
	t.Helper()
	count, err := counter(ctx, l.worker(), ssh.ServerHealthPort, "kubecomm_ssh_server_refused_total", metrics.Labels{"reason": reason})
	require.NoError(t, err)
	return count
}

// refusesForwards is a client with a proxy's key, and one with a key of its own.
func refusesForwards(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, w.lower(ctx))
	host := nodeIn(t, l.observe(ctx, t), l.worker()).SSH.Server.Key
	require.NoError(t, w.raise(ctx))
	stranger, _, err := newKeyFile()
	require.NoError(t, err)
	refused := l.refusals(ctx, t, "key")
	_, err = l.connect(ctx, stranger, host)
	require.ErrorContains(t, err, "unable to authenticate")
	require.NoError(t, waitLogged(ctx, l.worker(), ssh.ServerService,
		"refused: key "+ssh.Fingerprint(stranger.PublicKey())+" is not authorized"))
	assert.Greater(t, l.refusals(ctx, t, "key"), refused)

	key, err := keyOn(ctx, l.controlPlane(), ssh.ProxyKey)
	require.NoError(t, err)
	client, err := l.connect(ctx, key, host)
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	t.Run("what is on the node is forwarded to", func(t *testing.T) { forwardsWithin(ctx, t, l, client) })
	t.Run("what isn't is refused", func(t *testing.T) { refusesOutside(ctx, t, l, client) })
	t.Run("nothing but forwards is there", func(t *testing.T) { refusesOthers(ctx, t, l, client) })
	t.Run("the node is still forwarded to", func(t *testing.T) { forwardsWithin(ctx, t, l, client) })
	requireTunnelAlone(ctx, t, l, w)
}

func forwardsWithin(ctx context.Context, t *testing.T, l *lab, client *cryptossh.Client) {
	for _, address := range l.worker().Addresses() {
		names, err := servedNames(ctx, client, netip.AddrPortFrom(address, 10250))
		require.NoError(t, err)
		require.Contains(t, names, l.worker().Name(), "its own kubelet answered")
	}
	pod, err := l.addressOf(ctx, backendNamespace, backendName)
	require.NoError(t, err)
	service, err := l.client.CoreV1().Services(backendNamespace).Get(ctx, backendName, metav1.GetOptions{})
	require.NoError(t, err)
	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	require.NoError(t, err)
	for what, address := range map[string]netip.Addr{"its pod": pod, "a service": address} {
		name, err := hostnameAt(ctx, client, netip.AddrPortFrom(address, apiPort))
		require.NoError(t, err, what)
		require.Equal(t, backendName, name, what)
	}
}

func refusesOutside(ctx context.Context, t *testing.T, l *lab, client *cryptossh.Client) {
	foreign, err := l.addressOf(ctx, "kubecomm-test", "on-"+l.controlPlane().Name())
	require.NoError(t, err)
	outside := []string{"127.0.0.1:10248", "127.0.0.1:8137", "127.8.8.8:22", "[::1]:22", "0.0.0.0:22", "169.254.169.254:80", "[fe80::1]:22",
		"224.0.0.1:22", "8.8.8.8:53", netip.AddrPortFrom(foreign, 8080).String()}
	for _, address := range l.controlPlane().Addresses() {
		outside = append(outside, netip.AddrPortFrom(address, 10250).String(), netip.AddrPortFrom(address, 6443).String())
	}
	before := l.refusals(ctx, t, "destination")
	for _, target := range outside {
		at := netip.MustParseAddrPort(target)
		requireRefused(t, forward(client, at.Addr().String(), at.Port()), cryptossh.Prohibited,
			fmt.Sprintf("%s is no address of node %s, of its pods or of services", at, l.worker().Name()))
	}
	for _, name := range []string{"localhost", l.worker().Name(), "kubernetes.default.svc"} {
		requireRefused(t, forward(client, name, 10250), cryptossh.Prohibited, fmt.Sprintf("%q is no address", name))
	}
	assert.Equal(t, before+len(outside)+3, l.refusals(ctx, t, "destination"))
}

func requireRefused(t *testing.T, err error, code cryptossh.RejectionReason, message string) {
	t.Helper()
	refusal, ok := errors.AsType[*cryptossh.OpenChannelError](err)
	require.True(t, ok, "%v, where it is refused because %s", err, message)
	require.Equal(t, cryptossh.OpenChannelError{Reason: code, Message: message}, *refusal)
}

func refusesOthers(ctx context.Context, t *testing.T, l *lab, client *cryptossh.Client) {
	const only = "this server does nothing but forward"
	before := l.refusals(ctx, t, "not_forwarding")
	channels := []string{"session", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com"}
	for _, channel := range channels {
		requireRefused(t, open(client, channel, nil), cryptossh.UnknownChannelType, fmt.Sprintf("channel %q: %s", channel, only))
	}
	_, err := client.NewSession()
	require.ErrorContains(t, err, only, "there is no shell")
	listen := cryptossh.Marshal(struct {
		Address string
		Port    uint32
	}{"0.0.0.0", 2223})
	requests := []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "no-more-sessions@openssh.com"}
	for _, request := range requests {
		granted, _, err := client.SendRequest(request, true, listen)
		require.NoError(t, err)
		require.False(t, granted, request)
		// The protocol has no reason for this, but the server's log has.
		require.NoError(t, waitLogged(ctx, l.worker(), ssh.ServerService, request+`\": `+only))
	}
	listeners, err := said(ctx, l.worker(), `ss --no-header --tcp --listening --numeric | awk '{ print $4 "." }'`)
	require.NoError(t, err)
	require.Contains(t, listeners, fmt.Sprintf(":%d.", l.port()))
	require.NotContains(t, listeners, ":2223.", "nobody listens")
	assert.Equal(t, before+len(channels)+1+len(requests), l.refusals(ctx, t, "not_forwarding"))
}
