package ssh

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"
	"k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
	"sigs.k8s.io/yaml"
)

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func cidrs(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func publicKey(t *testing.T) string {
	t.Helper()
	_, public, err := NewKey("")
	require.NoError(t, err)
	return public.Line
}

func serverConfig(t *testing.T) ServerConfig {
	t.Helper()
	return ServerConfig{
		Node: "dev-worker", Addresses: addresses("172.18.0.3", "fc00:f853:ccd:e793::3"), PodCIDRs: cidrs("10.244.1.0/24"),
		ServiceCIDRs: cidrs("10.96.0.0/16"), AuthorizedKeys: map[string][]string{"dev-control-plane": {publicKey(t), publicKey(t)}},
	}
}

func proxyConfig(t *testing.T) ProxyConfig {
	t.Helper()
	return ProxyConfig{
		Node: "dev-control-plane", Server: "https://127.0.0.1:6443", ServerName: "kubernetes", Namespace: "kube-system", ServiceAccount: ProxyAccount,
		ServiceCIDRs: cidrs("10.96.0.0/16"),
		Nodes: []Node{
			{Name: "dev-control-plane", ControlPlane: true, Addresses: addresses("172.18.0.2"), PodCIDRs: cidrs("10.244.0.0/24"), Port: 22, HostKeys: []string{publicKey(t)}},
			{Name: "dev-worker", Addresses: addresses("172.18.0.3"), PodCIDRs: nil, Port: 22, HostKeys: []string{publicKey(t), publicKey(t)}},
		},
	}
}

func TestTheEgressSelectionIsForTrafficToTheClusterAlone(t *testing.T) {
	var found v1beta1.EgressSelectorConfiguration
	require.NoError(t, yaml.UnmarshalStrict(EgressSelection(), &found))
	require.Len(t, found.EgressSelections, 1)
	require.Equal(t, "cluster", found.EgressSelections[0].Name)
	connection := found.EgressSelections[0].Connection
	require.Equal(t, v1beta1.ProtocolHTTPConnect, connection.ProxyProtocol)
	require.Equal(t, "/etc/kubernetes/pki/kubecomm/ssh/proxy.sock", connection.Transport.UDS.UDSName)
	require.Nil(t, connection.Transport.TCP)
}

func TestAKeyIsReadAsItWasMadeAndNeverShown(t *testing.T) {
	key, told, err := NewKey("2026 #2")
	require.NoError(t, err)
	public := told.Line
	signer, err := ParseKey(key.Reveal())
	require.NoError(t, err)
	require.Equal(t, public, Encode(signer.PublicKey()))
	first, _, _ := strings.Cut(string(key.Reveal()), "\n")
	read, err := ParseFirstLine(first)
	require.NoError(t, err)
	require.Equal(t, told, read, "the file tells what is public by its first line")
	require.Equal(t, Fingerprint(signer.PublicKey()), read.Fingerprint())
	_, err = ParseFirstLine("-----BEGIN OPENSSH PRIVATE KEY-----")
	require.Error(t, err)
	parsed, err := ParsePublicKey(public)
	require.NoError(t, err)
	require.True(t, Same(parsed, signer.PublicKey()))
	require.True(t, strings.HasPrefix(Fingerprint(parsed), "SHA256:"))
	again, err := PublicKeyOf(key.Reveal())
	require.NoError(t, err)
	require.Equal(t, public, again)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", key, key, key, key), "OPENSSH")

	secret := strings.Split(string(key.Reveal()), "\n")[3]
	_, err = ParseKey([]byte(strings.Replace(string(key.Reveal()), "OPENSSH", "OPEN", 2)))
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
}

func TestOnlyOneEd25519KeyIsOne(t *testing.T) {
	public := publicKey(t)
	for name, line := range map[string]string{
		"as it is": public, "with a comment": public + " dev-control-plane", "with an end": public + "\n",
	} {
		_, err := ParsePublicKey(line)
		require.NoError(t, err, name)
	}
	for name, line := range map[string]string{
		"nothing": "", "half": public[:40], "two": public + "\n" + public, "with a command": `command="sh" ` + public,
		"of ECDSA": "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
	} {
		_, err := ParsePublicKey(line)
		require.Error(t, err, name)
	}
	_, err := ParsePublicKeys(nil)
	require.Error(t, err)
	first, err := ParsePublicKey(public)
	require.NoError(t, err)
	require.False(t, SameIn(first, nil))
	require.False(t, Same(nil, nil), "what isn't known is nobody's")
	require.True(t, SameIn(first, []cryptossh.PublicKey{first}))
}

func TestAConfigurationIsReadAsItWasWritten(t *testing.T) {
	server, proxy := serverConfig(t), proxyConfig(t)
	foundServer, err := ParseServerConfig(server.Encode())
	require.NoError(t, err)
	require.Equal(t, server, foundServer)
	foundProxy, err := ParseProxyConfig(proxy.Encode())
	require.NoError(t, err)
	require.Equal(t, proxy, foundProxy)
	require.Equal(t, Digest(server.Encode()), Digest(foundServer.Encode()))
}

func TestAServersConfigurationThatWouldLetInOrOutTooMuchIsRefused(t *testing.T) {
	tests := map[string]struct {
		change  func(*ServerConfig)
		problem string
	}{
		"no name":                        {func(c *ServerConfig) { c.Node = "" }, "node is empty"},
		"no address":                     {func(c *ServerConfig) { c.Addresses = nil }, "it has no address"},
		"the loopback address":           {func(c *ServerConfig) { c.Addresses = addresses("127.0.0.1") }, "127.0.0.1 is no address by which others reach a node"},
		"a link's address":               {func(c *ServerConfig) { c.Addresses = addresses("fe80::1") }, "fe80::1 is no address"},
		"any address":                    {func(c *ServerConfig) { c.Addresses = addresses("0.0.0.0") }, "0.0.0.0 is no address"},
		"an address with a zone":         {func(c *ServerConfig) { c.Addresses = addresses("fc00::1%eth0") }, "fc00::1%eth0 is no address"},
		"an IPv4 address in IPv6":        {func(c *ServerConfig) { c.Addresses = addresses("::ffff:172.18.0.3") }, "is no address"},
		"all addresses as pods":          {func(c *ServerConfig) { c.PodCIDRs = cidrs("0.0.0.0/0") }, "0.0.0.0/0 is no range of addresses"},
		"all of IPv6 as pods":            {func(c *ServerConfig) { c.PodCIDRs = cidrs("::/0") }, "::/0 is no range of addresses"},
		"the loopback range as services": {func(c *ServerConfig) { c.ServiceCIDRs = cidrs("127.0.0.0/8") }, "127.0.0.0/8 is no range"},
		"a range with a host":            {func(c *ServerConfig) { c.PodCIDRs = cidrs("10.244.1.1/24") }, "10.244.1.1/24 is no range"},
		"no keys":                        {func(c *ServerConfig) { c.AuthorizedKeys = nil }, "no key is authorized"},
		"a control plane without one":    {func(c *ServerConfig) { c.AuthorizedKeys["dev-control-plane2"] = nil }, "the keys of dev-control-plane2: there is none"},
		"a key that is none":             {func(c *ServerConfig) { c.AuthorizedKeys["dev-control-plane"] = []string{"x"} }, `the keys of dev-control-plane: "x" is no public key`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := serverConfig(t)
			_, err := ParseServerConfig(config.Encode())
			require.NoError(t, err, "without the change")
			test.change(&config)
			_, err = ParseServerConfig(config.Encode())
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestAProxysConfigurationThatSaysTooLittleIsRefused(t *testing.T) {
	tests := map[string]struct {
		change  func(*ProxyConfig)
		problem string
	}{
		"no name":            {func(c *ProxyConfig) { c.Node = "" }, "node is empty"},
		"an API without TLS": {func(c *ProxyConfig) { c.Server = "http://127.0.0.1:6443" }, `server "http://127.0.0.1:6443" is no https URL`},
		"no name of the API": {func(c *ProxyConfig) { c.ServerName = "" }, "serverName is empty"},
		"no account":         {func(c *ProxyConfig) { c.ServiceAccount = "" }, "serviceAccount is empty"},
		"a node twice":       {func(c *ProxyConfig) { c.Nodes[1].Name = c.Nodes[0].Name }, `node "dev-control-plane": it is there twice`},
		"a node unpinned":    {func(c *ProxyConfig) { c.Nodes[1].HostKeys = nil }, `node "dev-worker": its host keys: there is none`},
		"a node nowhere":     {func(c *ProxyConfig) { c.Nodes[1].Addresses = nil }, `node "dev-worker": it has no address`},
		"a node at no port":  {func(c *ProxyConfig) { c.Nodes[1].Port = 0 }, `node "dev-worker": it has no port`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := proxyConfig(t)
			_, err := ParseProxyConfig(config.Encode())
			require.NoError(t, err, "without the change")
			test.change(&config)
			_, err = ParseProxyConfig(config.Encode())
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestWhatAConfigurationDoesNotKnowIsRefused(t *testing.T) {
	var fields map[string]any
	require.NoError(t, json.Unmarshal(serverConfig(t).Encode(), &fields))
	fields["deniedPorts"] = []int{22}
	more, err := json.Marshal(fields)
	require.NoError(t, err)
	_, err = ParseServerConfig(more)
	require.ErrorContains(t, err, `unknown field "deniedPorts"`)
	_, err = ParseServerConfig(append(serverConfig(t).Encode(), serverConfig(t).Encode()...))
	require.ErrorContains(t, err, "something follows it")
	_, err = ParseProxyConfig([]byte("{"))
	require.Error(t, err)
}

// units are all that there are, by their names.
func units() map[string]string {
	all := map[string]string{}
	for _, unit := range append(ServerUnits(addresses("172.18.0.3", "fc00::3"), 2222), ProxyUnits()...) {
		all[unit.Name] = string(unit.Data)
	}
	return all
}

func TestUnitsNameThePathsThatTheirFilesAreInstalledAt(t *testing.T) {
	const program = "/opt/kubecomm/kubecomm-node"
	for unit, lines := range map[string][]string{
		ServerSocket: {"ListenStream=172.18.0.3:2222", "ListenStream=[fc00::3]:2222", "ListenStream=" + ServerControl, "SocketMode=0600", "SocketUser=root"},
		ProxySocket:  {"ListenStream=" + Socket, "ListenStream=" + ProxyControl, "SocketMode=0600", "SocketUser=root"},
		ServerService: {
			"Requires=" + ServerSocket, "After=" + ServerSocket,
			"ExecStart=" + program + " ssh-server ${CREDENTIALS_DIRECTORY}/" + ConfigName,
			"ExecReload=+" + program + " ssh-reload " + ServerControl + " " + ServerFile + " " + ServerKey,
			"LoadCredential=config.json:" + ServerFile, "LoadCredential=host.key:" + ServerKey, "Type=notify",
		},
		ProxyService: {
			"Requires=" + ProxySocket, "After=" + ProxySocket,
			"ExecStart=" + program + " ssh-proxy ${CREDENTIALS_DIRECTORY}/" + ConfigName,
			"ExecReload=+" + program + " ssh-reload " + ProxyControl + " " + ProxyFile + " " + ProxyKey,
			"LoadCredential=config.json:" + ProxyFile, "LoadCredential=client.key:" + ProxyKey, "LoadCredential=ca.crt:" + ProxyCA,
			"LoadCredential=token:" + ProxyToken, "StateDirectory=" + ProxyState, "Type=notify",
		},
	} {
		for _, line := range lines {
			require.Contains(t, units()[unit], "\n"+line+"\n", unit)
		}
		require.NotContains(t, units()[unit], "@ADDRESS@")
	}
}

// The approver's sandbox is known to work in nodes that are containers.
func TestServicesAreConfinedAtLeastAsTheApproverIs(t *testing.T) {
	approver, err := os.ReadFile(filepath.Join("..", "..", "apply", "kubecomm-approver.service"))
	require.NoError(t, err)
	_, sandbox, found := strings.Cut(string(approver), "NoNewPrivileges=yes\n")
	require.True(t, found)
	sandbox, _, found = strings.Cut(sandbox, "\n\n")
	require.True(t, found)
	for _, unit := range []string{ServerService, ProxyService} {
		for line := range strings.Lines("NoNewPrivileges=yes\n" + sandbox + "\nDynamicUser=yes\nUMask=0077\nCapabilityBoundingSet=\n") {
			require.Contains(t, units()[unit], "\n"+strings.TrimSpace(line)+"\n", unit)
		}
		require.NotContains(t, units()[unit], "AmbientCapabilities", unit)
	}
}

func TestWhatMayBeOpenFitsIntoTheMemoryThatUnitsAllow(t *testing.T) {
	const window, rest = 2, 256 // MiB
	for unit, test := range map[string]struct {
		limit int
		line  string
		most  int // MiB
	}{
		ServerService: {ForwardLimit, "MemoryMax=1536M", 1536},
		ProxyService:  {ConnectionLimit, "MemoryMax=3G", 3072},
	} {
		require.Contains(t, units()[unit], "\n"+test.line+"\n")
		require.LessOrEqual(t, test.limit*window+rest, test.most, unit)
	}
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd here")
	}
	folder := t.TempDir()
	var files []string
	for name, text := range units() {
		file := filepath.Join(folder, name)
		text = strings.ReplaceAll(text, "/opt/kubecomm/kubecomm-node", "/bin/true")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		files = append(files, file)
	}
	output, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	require.NoError(t, err, string(output))
}
