package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

const (
	publicMode  fs.FileMode = 0o644
	privateMode fs.FileMode = 0o600
)

func createIssuer(ctx context.Context, target Target, node Node, now time.Time) error {
	ca, err := pki.NewCA(target.Name, now)
	if err != nil {
		return err
	}
	return writeIssuer(ctx, node, ca)
}

func copyIssuer(ctx context.Context, target Target, node Node) error {
	ca, err := readIssuer(ctx, target)
	if err != nil {
		return err
	}
	return writeIssuer(ctx, node, ca)
}

// writeIssuer writes the certificate last, because an issuer counts from then on.
func writeIssuer(ctx context.Context, node Node, ca *pki.CA) error {
	certificate := pki.EncodeBundle(ca.Certificate)
	if err := node.WriteFile(ctx, bundleFile(ca), cluster.File{Data: certificate, Mode: publicMode}); err != nil {
		return err
	}
	if err := node.WriteFile(ctx, issuerKeyFile, cluster.File{Data: ca.Key.Reveal(), Mode: privateMode}); err != nil {
		return err
	}
	return node.WriteFile(ctx, issuerCertFile, cluster.File{Data: certificate, Mode: publicMode})
}

// readIssuer takes the issuer from the first control plane that has it whole, as Observe does.
func readIssuer(ctx context.Context, target Target) (*pki.CA, error) {
	var problems error
	for _, node := range target.controlPlanes() {
		ca, err := readIssuerOn(ctx, node)
		if err == nil {
			return ca, nil
		}
		problems = errors.Join(problems, fmt.Errorf("node %s: %w", node.Name(), err))
	}
	return nil, fmt.Errorf("no control plane has a usable CA for kubelet serving certificates; remove %s and %s from "+
		"every control plane to have a new one made: %w", issuerCertFile, issuerKeyFile, problems)
}

func readIssuerOn(ctx context.Context, node Node) (*pki.CA, error) {
	certificate, err := node.ReadFile(ctx, issuerCertFile)
	if err != nil {
		return nil, err
	}
	key, err := node.ReadFile(ctx, issuerKeyFile)
	if err != nil {
		return nil, err
	}
	return pki.ParseCA(certificate.Data, key.Data)
}
