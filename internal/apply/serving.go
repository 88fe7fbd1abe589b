package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// reloadLimit is how long a kubelet may take to serve new certificate files. It watches them, and looks every minute
// besides (Kubernetes v1.37.1, staging/src/k8s.io/apiserver/pkg/server/dynamiccertificates).
const reloadLimit = 90 * time.Second

func issueServing(ctx context.Context, target Target, node Node, options Options) error {
	ca, err := readIssuer(ctx, target)
	if err != nil {
		return err
	}
	observed, err := servingOf(ctx, node)
	if err != nil {
		return err
	}
	issued, err := ca.IssueServing(pki.ServingRequest{
		Node:      node.Name(),
		Addresses: node.Addresses(),
		Lifetime:  options.Settings.ServingValidity,
		Now:       options.Now(),
	})
	if err != nil {
		return err
	}
	if err := saveBaseline(ctx, node, observed.Files.CertFile, observed.Files.KeyFile); err != nil {
		return err
	}
	// While only one of the two is new they don't match; the kubelet then keeps what it serves and tries again.
	key := cluster.File{Data: issued.Key.Reveal(), Mode: privateMode}
	if err := node.WriteFile(ctx, observed.Files.KeyFile, key); err != nil {
		return err
	}
	certificate := cluster.File{Data: pki.EncodeBundle(issued.Certificate), Mode: publicMode}
	if err := node.WriteFile(ctx, observed.Files.CertFile, certificate); err != nil {
		return err
	}
	return waitServing(ctx, target, node, issued.Certificate, []*x509.Certificate{ca.Certificate}, options.Now)
}

// waitServing waits until the kubelet serves the certificate, and then verifies it as the apiserver would.
func waitServing(
	ctx context.Context, target Target, node Node, want *x509.Certificate, roots []*x509.Certificate, now func() time.Time,
) error {
	observed, err := servingOf(ctx, node)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the kubelet of node %s to serve certificate %s", node.Name(), pki.Fingerprint(want))
	var chain []*x509.Certificate
	err = wait.Until(ctx, what, wait.Options{Limit: reloadLimit}, func(ctx context.Context) error {
		chain, err = servedChain(ctx, target.controlPlanes()[0], observed.Dialled)
		if err == nil && !chain[0].Equal(want) {
			err = fmt.Errorf("it serves %s", pki.Fingerprint(chain[0]))
		}
		return err
	})
	if err != nil || roots == nil {
		return err
	}
	if err := pki.VerifyServing(chain, roots, observed.Dialled.Addr(), now()); err != nil {
		return fmt.Errorf("the certificate that the kubelet of node %s now serves at %s can't be verified: %w",
			node.Name(), observed.Dialled, err)
	}
	return nil
}

// restoreServing puts back the files that the kubelet served from. A node without saved files joined later and was
// never changed.
func restoreServing(ctx context.Context, target Target, node Node) error {
	observed, err := servingOf(ctx, node)
	if err != nil {
		return err
	}
	err = restoreBaseline(ctx, node, observed.Files.KeyFile, observed.Files.CertFile)
	if errors.Is(err, errNoBaseline) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := node.ReadFile(ctx, observed.Files.CertFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there was none; a kubelet makes its own at the next start
	}
	if err != nil {
		return err
	}
	certificates, err := pki.ParseBundle(file.Data)
	if err != nil {
		return fmt.Errorf("the original %s of node %s: %w", observed.Files.CertFile, node.Name(), err)
	}
	return waitServing(ctx, target, node, certificates[0], nil, nil)
}
