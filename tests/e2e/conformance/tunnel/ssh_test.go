package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// whole are the ends of a tunnel of one control plane to itself and a worker.
func whole() ends {
	found := ends{map[string]proxy.Status{}, map[string]server.Status{}}
	status := proxy.Status{Node: "cp", Key: "its key"}
	for _, node := range []string{"cp", "worker"} {
		status.Nodes = append(status.Nodes, proxy.NodeStatus{Name: node, Connected: true, HostKey: "key of " + node, Key: "its key"})
		found.servers[node] = server.Status{
			Node: node, HostKey: "key of " + node, Authorized: map[string][]string{"cp": {"its key"}}, Connected: map[string]int{"cp": 1},
		}
	}
	found.proxies["cp"] = status
	return found
}

func TestBothEndsOfATunnelMustSayTheSame(t *testing.T) {
	require.NoError(t, whole().problems())
	rotating := whole()
	rotating.servers["worker"].Authorized["cp"] = []string{"its key", "its next key"}
	require.NoError(t, rotating.problems(), "two keys of a control plane are let in while they rotate")
	status := rotating.proxies["cp"]
	status.Nodes = append(status.Nodes, proxy.NodeStatus{Name: "imposter", Error: "it has no host key"})
	rotating.proxies["cp"] = status
	require.NoError(t, rotating.problems(), "a Node that a check made has no server")

	const way = "from control plane cp to node worker: "
	tests := map[string]struct {
		change func(peer *proxy.NodeStatus, server *server.Status)
		want   string
	}{
		"the proxy doesn't know the node": {func(p *proxy.NodeStatus, _ *server.Status) { p.Name = "other" }, way + "the proxy doesn't know the node"},
		"it isn't connected": {func(p *proxy.NodeStatus, _ *server.Status) { p.Connected, p.Error = false, "connection refused" },
			way + "the proxy isn't connected: connection refused"},
		"another host key was shown": {func(p *proxy.NodeStatus, _ *server.Status) { p.OtherHostKey = "a thief's" },
			way + "the node showed host key a thief's, which isn't pinned"},
		"the host key isn't the server's": {func(_ *proxy.NodeStatus, s *server.Status) { s.HostKey = "a thief's" },
			way + "the proxy takes host key key of worker for the node's, and the server's is a thief's"},
		"the proxy was let in by another key": {func(p *proxy.NodeStatus, _ *server.Status) { p.Key = "an old one" },
			way + "the proxy was let in by key an old one, and has its key"},
		"the server lets in another": {func(_ *proxy.NodeStatus, s *server.Status) { s.Authorized["cp"] = []string{"an old one"} },
			way + "the proxy's key is its key, and the server lets in an old one"},
		"the server knows of no connection": {func(_ *proxy.NodeStatus, s *server.Status) { s.Connected = nil },
			way + "the proxy says that it is connected, and the server knows of no connection"},
		"somebody else is let in": {func(_ *proxy.NodeStatus, s *server.Status) { s.Authorized["stranger"] = []string{"a key"} },
			"the server of node worker lets in the keys of cp, stranger, and the control planes are cp"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found := whole()
			worker := found.servers["worker"]
			test.change(&found.proxies["cp"].Nodes[1], &worker)
			found.servers["worker"] = worker
			require.EqualError(t, found.problems(), test.want)
		})
	}
}

func TestAProxyMaySeeNodesAndRenewItsTokenAndNothingElse(t *testing.T) {
	rule := func(resource string, names []string, verbs ...string) authorizationv1.ResourceRule {
		return authorizationv1.ResourceRule{APIGroups: []string{""}, Resources: []string{resource}, ResourceNames: names, Verbs: verbs}
	}
	own := []string{ssh.ProxyAccount}
	sees, renews := rule("nodes", nil, "list", "watch"), rule("serviceaccounts/token", own, "create")
	status := func(rules ...authorizationv1.ResourceRule) authorizationv1.SubjectRulesReviewStatus {
		return authorizationv1.SubjectRulesReviewStatus{ResourceRules: rules}
	}
	require.NoError(t, proxysRights(status(sees, renews), true))
	require.NoError(t, proxysRights(status(rule("nodes", nil, "watch"), renews, rule("nodes", nil, "list")), true))
	require.NoError(t, proxysRights(status(sees), false))

	tests := map[string]struct {
		rights authorizationv1.SubjectRulesReviewStatus
		own    bool
		want   string
	}{
		"it has no rights":                 {status(), true, "may not list and watch nodes"},
		"it can't watch":                   {status(rule("nodes", nil, "list"), renews), true, "may not list and watch nodes"},
		"it can't renew":                   {status(sees), true, "may not renew its own token"},
		"it may read secrets":              {status(sees, renews, rule("secrets", nil, "get")), true, "may get secrets"},
		"it may change nodes":              {status(rule("nodes", nil, "list", "patch"), renews), true, "may list, patch nodes"},
		"it may ask for another's token":   {status(sees, rule("serviceaccounts/token", []string{"admin"}, "create")), true, "may create serviceaccounts/token admin"},
		"it may ask for anybody's token":   {status(sees, rule("serviceaccounts/token", nil, "create")), true, "may create serviceaccounts/token"},
		"it may ask for its token as well": {status(sees, renews), false, "may create serviceaccounts/token " + ssh.ProxyAccount},
		"it may read what is no resource": {authorizationv1.SubjectRulesReviewStatus{
			NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}},
		}, true, "may [get] [/metrics]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.EqualError(t, proxysRights(test.rights, test.own), test.want) })
	}
}

func TestWhatAnyAccountMayDoCountsForNone(t *testing.T) {
	anybodys := []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}}}
	more := authorizationv1.NonResourceRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}
	assert.Empty(t, beyond(anybodys, anybodys))
	assert.Equal(t, []authorizationv1.NonResourceRule{more}, beyond(append(slices.Clone(anybodys), more), anybodys))
}

const sandboxed = `Uid:	61934	61934	61934	61934
Gid:	61934	61934	61934	61934
CapInh:	0000000000000000
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	0000000000000000
CapAmb:	0000000000000000
NoNewPrivs:	1
File: /etc/host.key 600 0 regular file
File: /run/control.sock 600 0 socket
`

func TestAProgramIsNobodyWithoutCapabilitiesWhoseFilesAreRoots(t *testing.T) {
	p := program{"end.service", []string{"/etc/host.key", "/run/control.sock"}}
	require.NoError(t, p.problems(sandboxed))
	tests := map[string]struct{ old, new, want string }{
		"it is root":                    {"Uid:	61934	61934", "Uid:	61934	0", "it is root: Uid 61934 0 61934 61934"},
		"its group is root's":           {"Gid:	61934", "Gid:	0", "it is root: Gid 0 61934 61934 61934"},
		"it is a user of the node":      {"NoNewPrivs", "Known: daemon\nNoNewPrivs", "it is user daemon, who exists otherwise"},
		"it has a capability":           {"CapEff:	0000000000000000", "CapEff:	0000000000000400", "it has capabilities: CapEff 0000000000000400"},
		"it could get one":              {"CapBnd:	0000000000000000", "CapBnd:	000001ffffffffff", "it has capabilities: CapBnd 000001ffffffffff"},
		"it may get privileges":         {"NoNewPrivs:	1", "NoNewPrivs:	0", "it may become more than it is: NoNewPrivs 0"},
		"others read its key":           {"host.key 600", "host.key 644", "/etc/host.key has mode 644 and owner 0, not 600 and root"},
		"its key is somebody's":         {"host.key 600 0", "host.key 600 1000", "/etc/host.key has mode 600 and owner 1000, not 600 and root"},
		"others connect to its socket":  {"control.sock 600", "control.sock 666", "/run/control.sock has mode 666 and owner 0, not 600 and root"},
		"the kernel didn't say it":      {"CapAmb:	0000000000000000\n", "", "nothing is known of CapAmb"},
		"there is nothing about a file": {"File: /run/control.sock 600 0 socket\n", "", "nothing is known of /run/control.sock"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, sandboxed, test.old)
			require.EqualError(t, p.problems(strings.Replace(sandboxed, test.old, test.new, 1)), test.want)
		})
	}
}

func TestProxiesRunOnControlPlanesAlone(t *testing.T) {
	require.Len(t, sshPrograms(suite.Node{Name: "worker"}), 1)
	require.Len(t, sshPrograms(suite.Node{Name: "cp", ControlPlane: true}), 2)
}

func newKey(t *testing.T) cryptossh.Signer {
	t.Helper()
	private, _, err := ssh.NewKey("")
	require.NoError(t, err)
	signer, err := ssh.ParseKey(private.Reveal())
	require.NoError(t, err)
	return signer
}

// listening is a server that lets in somebody else.
func listening(t *testing.T, key cryptossh.Signer) string {
	t.Helper()
	running, err := server.New(server.Options{
		Config: ssh.ServerConfig{
			Node: "worker", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.3")},
			AuthorizedKeys: map[string][]string{"cp": {ssh.Encode(newKey(t).PublicKey())}},
		},
		HostKey: key, Limits: server.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return serving(t, func(ctx context.Context, listener net.Listener) { _ = running.Serve(ctx, listener) })
}

func serving(t *testing.T, serve func(context.Context, net.Listener)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve(ctx, listener)
	}()
	t.Cleanup(func() {
		end()
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().String()
}

func visiting(t *testing.T, address string) visit {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	return knock(t.Context(), conn, address)
}

func TestAStrangerIsAskedForAKeyAndRefusedForIt(t *testing.T) {
	key := newKey(t)
	seen := visiting(t, listening(t, key))
	at := door{node: suite.Node{Name: "worker"}, pinned: []cryptossh.PublicKey{key.PublicKey()}}
	require.True(t, seen.asked)
	require.True(t, ssh.Same(key.PublicKey(), seen.shown))
	require.NoError(t, refused(t.Context(), nil, &suite.Evidence{}, at, seen))

	other := at
	other.pinned = []cryptossh.PublicKey{newKey(t).PublicKey()}
	require.ErrorContains(t, knocked(t.Context(), nil, &suite.Evidence{}, other, seen), "it shows host key "+ssh.Fingerprint(key.PublicKey()))
	require.ErrorContains(t, refused(t.Context(), nil, &suite.Evidence{}, other, seen), "another host key")
}

func TestWhoeverIsLetInOrMeetsNoSSHServerWasNotRefused(t *testing.T) {
	key := newKey(t)
	open := &cryptossh.ServerConfig{PublicKeyCallback: func(cryptossh.ConnMetadata, cryptossh.PublicKey) (*cryptossh.Permissions, error) {
		return nil, nil
	}}
	open.AddHostKey(key)
	at := door{node: suite.Node{Name: "worker"}, pinned: []cryptossh.PublicKey{key.PublicKey()}}
	let := visiting(t, serving(t, func(_ context.Context, listener net.Listener) {
		if conn, err := listener.Accept(); err == nil {
			_, _, _, _ = cryptossh.NewServerConn(conn, open)
		}
	}))
	require.NoError(t, let.err)
	require.EqualError(t, refused(t.Context(), nil, &suite.Evidence{}, at, let), fmt.Sprintf("nothing refused it; it should have failed with %q", noLogIn))

	silent := visiting(t, serving(t, func(_ context.Context, listener net.Listener) {
		if conn, err := listener.Accept(); err == nil {
			_ = conn.Close()
		}
	}))
	require.Error(t, silent.err)
	require.ErrorContains(t, knocked(t.Context(), nil, &suite.Evidence{}, at, silent), "a client isn't asked for a key")
	require.Error(t, refused(t.Context(), nil, &suite.Evidence{}, at, silent))
}

func TestAPlaceThatCountsNothingOfAnExecIsNamed(t *testing.T) {
	_, err := countAll(t.Context(), []place{{called: "the proxy", read: func(context.Context) ([]byte, error) { return nil, errors.New("nobody listens") }}})
	require.EqualError(t, err, "asking what the proxy has counted: nobody listens")
}

func TestChecksOfATunnelThatIsNotDeclaredAreSkipped(t *testing.T) {
	declared := map[string]suite.Tunnel{"tunnel/ssh-": suite.SSH, "tunnel/konnectivity-": suite.Konnectivity}
	for _, check := range Checks() {
		for _, prefix := range slices.Sorted(maps.Keys(declared)) {
			if !strings.HasPrefix(check.ID, prefix) {
				continue
			}
			for _, tunnel := range suite.Tunnels() {
				if tunnel == string(declared[prefix]) {
					continue
				}
				result := check.Do(t.Context(), &suite.Subject{Expect: suite.Expectation{Tunnel: suite.Tunnel(tunnel)}})
				assert.Equal(t, suite.Skipped, result.Verdict, "%s with %s", check.ID, tunnel)
				assert.Equal(t, "the tunnel is declared to be "+tunnel, result.Reason)
			}
		}
	}
}

func TestWhereNodesCanNotBeLookedIntoChecksOfSSHTunnelsSaySo(t *testing.T) {
	subject := &suite.Subject{
		Expect: suite.Expectation{Tunnel: suite.SSH}, Nodes: []suite.Node{{Name: "cp", ControlPlane: true, Addresses: []string{"172.18.0.2"}}},
	}
	for _, check := range sshChecks() {
		if check.ID == area+"ssh-identities" || check.ID == area+"ssh-carries-exec" { // which ask the API first
			continue
		}
		result := check.Do(t.Context(), subject)
		assert.Equal(t, suite.Skipped, result.Verdict, check.ID)
		assert.Equal(t, "this takes a look into nodes, for which -kind names a cluster of kind's", result.Reason)
	}
}
