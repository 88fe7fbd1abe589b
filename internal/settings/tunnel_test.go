package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

func TestATunnelIsAFileOfApiserversAndNoneIsNoSuchFile(t *testing.T) {
	with := Of(map[string]Value{NameTunnelMode: {"konnectivity"}, "apiserver.tls_min_version": {tls13}})
	require.Equal(t, Konnectivity, with.Tunnel.Mode)
	require.Equal(t, konnectivity.EgressSelection(), with.Documents[egressFlag].Data)
	require.Equal(t, tls13, with.Tunnel.Konnectivity.TLSMinVersion, "the floor of the apiserver is the server's")
	mode := named(t, NameTunnelMode)
	require.Equal(t, Value{"konnectivity"}, mode.FromDocument(with.Documents[egressFlag].Data))
	require.Nil(t, mode.FromDocument([]byte("somebody else's")))

	bySSH := Of(map[string]Value{NameTunnelMode: {"ssh"}})
	require.Equal(t, SSH, bySSH.Tunnel.Mode)
	require.Equal(t, ssh.EgressSelection(), bySSH.Documents[egressFlag].Data)
	require.Equal(t, Value{"ssh"}, mode.FromDocument(bySSH.Documents[egressFlag].Data))

	require.Equal(t, SSH, TunnelOf(ssh.EgressSelection()))
	require.Empty(t, TunnelOf([]byte("apiVersion: apiserver.k8s.io/v1beta1")))

	without := Of(map[string]Value{NameTunnelMode: {"none"}})
	require.Empty(t, without.Documents)
	values, declared := without.Flags[APIServer][egressFlag]
	require.True(t, declared, "whoever's file it is")
	require.Empty(t, values)

	require.Empty(t, Of(nil).Documents)
	require.NotContains(t, Of(nil).Flags[APIServer], egressFlag, "what isn't declared stays")
	require.Contains(t, ManagedFlags(APIServer), egressFlag)
	require.Contains(t, DocumentNames(), "egress-selector")
	require.Nil(t, Effective(Restricted, nil)[NameTunnelMode], "no profile has a tunnel")
}

func TestAModeThatIsNoneIsRefused(t *testing.T) {
	tests := map[string]struct{ mode, refuse string }{
		"none":          {"none", ""},
		"konnectivity":  {"konnectivity", ""},
		"ssh":           {"ssh", ""},
		"anything else": {"vpn", `"vpn" is none of none, ssh, konnectivity`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := Check(map[string]Value{NameTunnelMode: {test.mode}})
			if test.refuse == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.ErrorContains(t, problems[0].Err, test.refuse)
		})
	}
}

func TestATunnelThatCannotBeMadeIsRefused(t *testing.T) {
	with := func(change func(*Tunnel)) Tunnel {
		tunnel := Tunnel{
			Mode: Konnectivity, ImageArchives: []string{"a.tar", "b.tar"},
			Konnectivity: konnectivity.Options{
				Images:    konnectivity.Images{Server: "registry.example:5000/server:v1", Agent: "agent@sha256:0123"},
				Keepalive: time.Minute, Identifiers: []string{"host=$(NODE_NAME)", "default-route=true"},
			},
		}
		change(&tunnel)
		return tunnel
	}
	tests := map[string]struct {
		change       func(*Tunnel)
		name, refuse string
	}{
		"nothing":                   {func(*Tunnel) {}, "", ""},
		"an image without a tag":    {func(t *Tunnel) { t.Konnectivity.Images.Server = "localhost:5000/server" }, NameServerImage, "neither a tag nor a digest"},
		"a URL":                     {func(t *Tunnel) { t.Konnectivity.Images.Agent = "https://a/b:c" }, NameAgentImage, "is not the name of an image"},
		"the same archive twice":    {func(t *Tunnel) { t.ImageArchives[1] = "a.tar" }, NameImageArchives, "a.tar is there twice"},
		"an archive without a name": {func(t *Tunnel) { t.ImageArchives[1] = "" }, NameImageArchives, "is empty"},
		"a keepalive too short":     {func(t *Tunnel) { t.Konnectivity.Keepalive = 30 * time.Second }, NameKeepalive, "30s is out of bounds: at least 40s and at most 1h"},
		"a long text for keys":      {func(t *Tunnel) { t.SSH.KeyGeneration = strings.Repeat("x", 65) }, NameSSHRotation, "it has 65 characters"},
		"an unknown identifier":     {func(t *Tunnel) { t.Konnectivity.Identifiers[0] = "name=a" }, NameAgentIdentifiers, "KIND is one of ipv4"},
		"two in one":                {func(t *Tunnel) { t.Konnectivity.Identifiers[0] = "host=a&host=b" }, NameAgentIdentifiers, "must be encoded"},
		"the same twice":            {func(t *Tunnel) { t.Konnectivity.Identifiers[0] = "default-route=true" }, NameAgentIdentifiers, "is there twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := with(test.change).Check()
			if test.name == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, test.name, problems[0].Name)
			require.ErrorContains(t, problems[0].Err, test.refuse)
		})
	}
	require.Empty(t, Tunnel{}.Check(), "what isn't given has a default")
}
