package apply

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Of a CA of the user's own, nodes are given the certificate alone. Whoever applies has the key at hand, whether or not it
// is needed, because Terraform reads write-only values from the configuration each time; and a key that is on no node can't
// be stolen from one.

// adoptIssuerWork lets a control plane know the user's own CA.
type adoptIssuerWork struct{ job }

func (w *adoptIssuerWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"write the CA's certificate", w.write}}
}

func (w *adoptIssuerWork) keep(ctx context.Context) error {
	return checkpoint.save(ctx, w.node, issuerFileNames()...)
}

// write takes kubecomm's own CA away, whose key nobody needs any more. Apiservers have its certificate in a file of theirs.
func (w *adoptIssuerWork) write(ctx context.Context) error {
	chain := cluster.File{Data: pki.EncodeBundle(w.options.Settings.OwnCA.Chain...), Mode: publicMode}
	if err := w.node.WriteFile(ctx, ownIssuerFile, chain); err != nil {
		return err
	}
	for _, file := range []string{issuerCertFile, issuerKeyFile} {
		if err := w.node.Remove(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

func (w *adoptIssuerWork) undo(ctx context.Context) error {
	return rollBack(ctx, w.node, issuerFileNames()...)
}

// planAdopt plans it for each control plane whose files differ.
func planAdopt(observed Observation, problem string) []Step {
	var steps []Step
	for _, node := range observed.controlPlanes() {
		switch {
		case problem != "":
			steps = append(steps, Step{AdoptIssuer, node.Name, problem})
		case !node.APIServer.IssuerCurrent:
			steps = append(steps, Step{AdoptIssuer, node.Name, "its files are missing or differ"})
		}
	}
	return steps
}

func ownIssuerProblem(observed Observation, own *pki.Own) string {
	switch {
	case observed.Own == nil:
		return "a CA of the user's own is declared"
	case !sameChain(observed.Own, own.Chain):
		return "another CA is declared than the one that is there, " + observed.Issuer.Subject.String()
	}
	return ""
}

// newTrust is why apiservers must trust a CA that they can't know yet; empty if the CA stays as it is, or has another
// certificate alone above it.
func newTrust(observed Observation, want settings.Settings, issuerProblem string) string {
	if want.OwnCA != nil && observed.Issuer != nil && observed.Issuer.Equal(want.OwnCA.Chain[0]) {
		return ""
	}
	return issuerProblem
}

func sameChain(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(a, b *x509.Certificate) bool { return a.Equal(b) })
}

// issueServing makes a certificate of the issuer's.
func issueServing(ctx context.Context, j job) (*pki.ServingCertificate, error) {
	ca, err := issuerOf(ctx, j)
	if err != nil {
		return nil, err
	}
	return ca.IssueServing(pki.ServingRequest{
		Node:      j.node.Name(),
		Addresses: j.node.Addresses(),
		Lifetime:  j.options.Settings.ServingValidity,
		Now:       j.options.Now(),
	})
}

func issuerOf(ctx context.Context, j job) (*pki.CA, error) {
	if own := j.options.Settings.OwnCA; own != nil {
		return own.CA()
	}
	return readIssuer(ctx, j.target)
}

// providedServing is the user's own certificate for the node.
func providedServing(_ context.Context, j job) (*pki.ServingCertificate, error) {
	own, given := j.options.Settings.Provided[j.node.Name()]
	if !given {
		return nil, fmt.Errorf("no certificate was provided for node %s", j.node.Name())
	}
	return &pki.ServingCertificate{Certificate: own.Chain[0], Above: own.Chain[1:], Key: own.Key}, nil
}

// planProvided has each node serve the certificate that was provided for it.
func planProvided(observed Observation, want settings.Settings) []Step {
	var steps []Step
	for _, node := range observed.Nodes {
		if reason := providedProblem(node, want.Provided[node.Name].Chain); reason != "" {
			steps = append(steps, Step{InstallServing, node.Name, reason})
		}
	}
	return steps
}

func providedProblem(node NodeObservation, chain []*x509.Certificate) string {
	leaf := node.Serving.Leaf()
	switch {
	case leaf == nil:
		return "it serves none"
	case len(chain) == 0 || sameChain(node.Serving.Chain, chain):
		return ""
	case leaf.Equal(chain[0]):
		return "it serves the provided one with others above it than were provided"
	}
	return "it serves another than the provided one, of " + leaf.Issuer.String()
}
