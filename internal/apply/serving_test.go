package apply

import (
	"context"
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// TestAReloadedCertificateThatOnlyNamesBringIsSeen is of kubelets before Kubernetes 1.36, which serve from files and ask for a
// newer certificate only where the client named a server.
func TestAReloadedCertificateThatOnlyNamesBringIsSeen(t *testing.T) {
	before, after := servingPair(t), servingPair(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates:   []tls.Certificate{before},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &after, nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake() }()
		}
	}()
	target := Target{Nodes: []Node{dialer{}}, Admin: func(context.Context) (*rest.Config, error) {
		return &rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, nil
	}}
	address := netip.MustParseAddrPort(listener.Addr().String())

	conn, err := connectTLS(t.Context(), target, address, "")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	assert.True(t, conn.ConnectionState().PeerCertificates[0].Equal(before.Leaf), "what apiservers are shown, who name nobody")
	assert.True(t, showsByName(t.Context(), target, dialer{}, address, after.Leaf))
	assert.False(t, showsByName(t.Context(), target, dialer{}, address, before.Leaf))
}

func servingPair(t *testing.T) tls.Certificate {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	issued, err := ca.IssueServing(pki.ServingRequest{
		Node: "cp", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Lifetime: time.Hour, Now: time.Now(),
	})
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(pki.EncodeBundle(issued.Certificate), issued.Key.Reveal())
	require.NoError(t, err)
	return pair
}
