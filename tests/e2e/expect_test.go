package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// unverified is how every refusal begins that comes from verifying a certificate, as crypto/tls words it.
const unverified = "tls: failed to verify certificate: x509: "

// The exact refusals.
const unknownAuthority = unverified + "certificate signed by unknown authority"

func otherAddresses(named, dialled *cluster.Node) string {
	var addresses []string
	for _, address := range named.Addresses() {
		addresses = append(addresses, address.String())
	}
	return fmt.Sprintf("%scertificate is valid for %s, not %s", unverified, strings.Join(addresses, ", "),
		imposter.Address(dialled))
}

// everyPathWorks uses each path to each node once.
func everyPathWorks(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	for _, node := range s.cluster.Nodes() {
		everyPathWorksTo(ctx, t, s, node)
	}
}

func everyPathWorksTo(ctx context.Context, t *testing.T, s *suite, node *cluster.Node) {
	t.Helper()
	for _, path := range workload.Paths() {
		assert.NoError(t, path.Use(ctx, s.podOn(t, node)))
	}
}

// everyPathFails demands of each path to the node that it fails, and for this reason.
func everyPathFails(ctx context.Context, t *testing.T, s *suite, node *cluster.Node, reason string) {
	t.Helper()
	for _, path := range workload.Paths() {
		assert.ErrorContains(t, path.Use(ctx, s.podOn(t, node)), reason)
	}
}

// settled waits until a kubelet that was restarted answers over every path.
func settled(ctx context.Context, t *testing.T, s *suite, node *cluster.Node) {
	t.Helper()
	require.NoError(t, s.podOn(t, node).Settled(ctx, 30*time.Second))
}

// serve makes the node's kubelet serve a certificate until the test ends.
func serve(ctx context.Context, t *testing.T, s *suite, node *cluster.Node, certificate *pki.ServingCertificate) {
	t.Helper()
	putBack, err := imposter.Serve(ctx, s.controlPlane(), node, certificate)
	require.NoError(t, err)
	t.Cleanup(func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		require.NoError(t, putBack(limited))
	})
}

func serveStranger(ctx context.Context, t *testing.T, s *suite, node *cluster.Node) {
	t.Helper()
	certificate, err := imposter.Stranger(node)
	require.NoError(t, err)
	serve(ctx, t, s, node, certificate)
}
