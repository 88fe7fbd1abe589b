package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

const (
	publicMode  fs.FileMode = 0o644
	privateMode fs.FileMode = 0o600
)

// issuerWork gives a control plane the CA for kubelet serving certificates.
type issuerWork struct {
	job
	issuer func(context.Context, job) (*pki.CA, error)
	ca     *pki.CA
}

func newIssuer(_ context.Context, j job) (*pki.CA, error) {
	return pki.NewGeneration(j.target.Name, j.options.Settings.CAGeneration, j.options.Now())
}

func existingIssuer(ctx context.Context, j job) (*pki.CA, error) { return readIssuer(ctx, j.target) }

func (w *issuerWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"write the CA and its key", w.write}}
}

func (w *issuerWork) keep(ctx context.Context) (err error) {
	if w.ca, err = w.issuer(ctx, w.job); err != nil {
		return err
	}
	return checkpoint.save(ctx, w.node, issuerFileNames()...)
}

func issuerFileNames() []string { return []string{issuerKeyFile, issuerCertFile, ownIssuerFile} }

// write writes the certificate last, because an issuer counts from then on, and takes a former one away first, because it
// would not go with the key. Nobody needs that one any more: apiservers have the CAs that they trust in files of their own.
func (w *issuerWork) write(ctx context.Context) error {
	if err := w.node.Remove(ctx, issuerCertFile); err != nil {
		return err
	}
	key := cluster.File{Data: w.ca.Key.Reveal(), Mode: privateMode}
	if err := w.node.WriteFile(ctx, issuerKeyFile, key); err != nil {
		return err
	}
	certificate := cluster.File{Data: pki.EncodeBundle(w.ca.Certificate), Mode: publicMode}
	if err := w.node.WriteFile(ctx, issuerCertFile, certificate); err != nil {
		return err
	}
	return w.node.Remove(ctx, ownIssuerFile) // which has counted until now
}

func (w *issuerWork) undo(ctx context.Context) error {
	return rollBack(ctx, w.node, issuerFileNames()...)
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
	files, err := node.ReadFiles(ctx, issuerCertFile, issuerKeyFile)
	if err != nil {
		return nil, err
	}
	if len(files) != 2 {
		return nil, fs.ErrNotExist
	}
	return pki.ParseCA(files[issuerCertFile].Data, files[issuerKeyFile].Data)
}
