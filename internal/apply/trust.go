package apply

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Kubelets get certificates of another CA while apiservers verify them, and no log or exec may fail meanwhile. So
// apiservers are first replaced by ones that trust both CAs, then kubelets get their certificates, and then apiservers are
// replaced by ones that trust the new CA alone. Where an apply ended in between, the next finds out from what each
// apiserver trusts, and each kubelet serves, what is left to do.

// TrustObservation is what a running apiserver verifies kubelets by.
type TrustObservation struct {
	File         string              // empty if it verifies none
	Certificates []*x509.Certificate // in the file now; nil if it isn't there or can't be read
	Changed      bool                // the file is one of kubecomm's, and not what the apiserver has loaded
}

// loaded are the certificates that the apiserver trusts, as far as that is known.
func (t TrustObservation) loaded() []*x509.Certificate {
	if t.Changed {
		return nil
	}
	return t.Certificates
}

func (t TrustObservation) has(ca *x509.Certificate) bool {
	return slices.ContainsFunc(t.loaded(), ca.Equal)
}

// observeTrust reads the file that an apiserver was started with.
func observeTrust(ctx context.Context, node Node, running controlplane.Flags) (TrustObservation, error) {
	file, given := running.Get(kubeletCAFlag)
	if !given || file == "" {
		return TrustObservation{}, nil
	}
	trust := TrustObservation{File: file}
	found, err := node.ReadFiles(ctx, file)
	if err != nil {
		return trust, fmt.Errorf("the %s's --%s on node %s: %w", apiserver, kubeletCAFlag, node.Name(), err)
	}
	content := found[file].Data
	trust.Changed = ours(file) && !asNamed(file, content)
	// What somebody else wrote may hold anything.
	trust.Certificates, _ = pki.ParseBundle(content)
	return trust, nil
}

// planTrust has apiservers trust the CA that is to issue, beside what they trust, before kubelets show a certificate of it.
// Apiservers that refuse every kubelet as it is have nothing to lose.
func planTrust(observed Observation, issuerProblem string, issues []Step) []Step {
	var steps []Step
	for _, node := range observed.controlPlanes() {
		if issuerProblem == "" && node.APIServer.Trust.has(observed.Issuer) {
			continue
		}
		if loses := observed.firstAccepted(node.APIServer.Trust.loaded(), issues); loses != "" {
			steps = append(steps, Step{TrustBoth, node.Name, fmt.Sprintf(
				"it would refuse node %s with a certificate of the new CA, and others with those of the old one", loses)})
		}
	}
	return steps
}

// firstAccepted names the first node of steps whose kubelet is accepted by who trusts these roots; empty if none is.
func (o Observation) firstAccepted(roots []*x509.Certificate, steps []Step) string {
	for _, node := range o.Nodes {
		isIn := func(step Step) bool { return step.Node == node.Name }
		if slices.ContainsFunc(steps, isIn) &&
			pki.VerifyServing(node.Serving.Chain, roots, node.Serving.Dialled.Addr(), o.Time) == nil {
			return node.Name
		}
	}
	return ""
}

// trustWork has an apiserver trust both.
type trustWork struct{ apiserverWork }

func (w *trustWork) phases() []phase {
	return append([]phase{{"keep the manifest", w.prepare}, {"write the files that it names", w.write}}, w.swap.phases()...)
}

// prepare changes nothing but what the apiserver trusts: of everything else, it is still to be seen whether it works.
func (w *trustWork) prepare(ctx context.Context) error {
	trusted, err := trustedCAs(ctx, w.job)
	if err != nil {
		return err
	}
	for _, ca := range w.observed.APIServer.Trust.loaded() {
		if !slices.ContainsFunc(trusted, ca.Equal) {
			trusted = append(trusted, ca)
		}
	}
	w.bundle = pki.EncodeBundle(trusted...)
	previous, next, err := rebaseFlags(ctx, w.job, settings.APIServer, managedFlags(settings.APIServer, nil, nil),
		func(found *ComponentObservation) controlplane.Flags {
			flags := maps.Clone(found.Manifest)
			declared, tunnelled := w.options.Settings.Documents[egressFlag]
			stays := tunnelled && slices.Contains(flags[egressFlag], documentFile(declared))
			if slices.ContainsFunc(flags[egressFlag], ours) && !stays {
				// A tunnel that isn't declared any more may not work any more either.
				delete(flags, egressFlag)
			}
			flags[kubeletCAFlag] = []string{bundleFile(w.bundle)}
			return flags
		})
	if err != nil {
		return err
	}
	return w.swap.between(w.job, previous, next)
}

func (w *trustWork) write(ctx context.Context) error { return writeBundle(ctx, w.node, w.bundle) }

func writeBundle(ctx context.Context, node Node, bundle []byte) error {
	return node.WriteFile(ctx, bundleFile(bundle), cluster.File{Data: bundle, Mode: publicMode})
}

// trustedCAs are those that kubelets' certificates are to be of.
func trustedCAs(ctx context.Context, j job) ([]*x509.Certificate, error) {
	if own := j.options.Settings.OwnCA; own != nil {
		return withFurther(own.Chain[0], j.options.Settings), nil
	}
	ca, err := readIssuer(ctx, j.target)
	if err != nil {
		return nil, err
	}
	return withFurther(ca.Certificate, j.options.Settings), nil
}

// bundle is what apiservers are to trust; nil if that isn't there yet.
func (o Observation) bundle(want settings.Settings) []byte {
	if o.Issuer == nil {
		return nil
	}
	return pki.EncodeBundle(withFurther(o.Issuer, want)...)
}

// withFurther adds the further CAs that are declared, which were checked.
func withFurther(issuer *x509.Certificate, want settings.Settings) []*x509.Certificate {
	trusted := []*x509.Certificate{issuer}
	further, _ := pki.ParseBundle([]byte(want.KubeletCAs))
	for _, ca := range further {
		if !slices.ContainsFunc(trusted, ca.Equal) {
			trusted = append(trusted, ca)
		}
	}
	return trusted
}

// furtherCAs is the value of the setting of that name: what the first apiserver trusts in place of what it should.
func (o Observation) furtherCAs(setting settings.Setting, held settings.Value) settings.Value {
	declared, _ := pki.ParseBundle([]byte(held.String()))
	for _, node := range o.controlPlanes() {
		var found []*x509.Certificate
		if trust := node.APIServer.Trust; ours(trust.File) {
			found = trust.Certificates
		}
		if value := o.furtherIn(found); !setting.Same(value, o.furtherIn(declared)) {
			return value
		}
	}
	return held
}

// furtherIn are the CAs of a bundle that aren't the issuer; nil for none.
func (o Observation) furtherIn(bundle []*x509.Certificate) settings.Value {
	isIssuer := func(ca *x509.Certificate) bool { return o.Issuer != nil && ca.Equal(o.Issuer) }
	others := slices.DeleteFunc(slices.Clone(bundle), isIssuer)
	if len(others) == 0 {
		return nil
	}
	return settings.Value{string(pki.EncodeBundle(others...))}
}
