package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Own is a certificate of the user's own: a CA's, or a kubelet's.
type Own struct {
	Chain []*x509.Certificate // its certificate, then those of the CAs above it, each signed by the next
	Key   PrivateKey          // empty where nothing is to be signed with it
}

// ParseChain reads a certificate that may be followed by those of the CAs above it.
func ParseChain(data []byte) ([]*x509.Certificate, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	chain, err := ParseBundle(data)
	if err != nil {
		return nil, err
	}
	for i, certificate := range chain[:len(chain)-1] {
		if err := certificate.CheckSignatureFrom(chain[i+1]); err != nil {
			return nil, fmt.Errorf("certificate %d, of %s, is not signed by the one after it, of %s: %w; put each before that "+
				"of its issuer", i+1, certificate.Subject, chain[i+1].Subject, err)
		}
	}
	return chain, nil
}

// CheckIssuer refuses the certificate of a CA that can't sign serving certificates at a time.
func CheckIssuer(chain []*x509.Certificate, now time.Time) error {
	if err := CheckCA(chain[0]); err != nil {
		return fmt.Errorf("%s %w", chain[0].Subject, err)
	}
	forServers := func(usage x509.ExtKeyUsage) bool {
		return usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny
	}
	if usages := chain[0].ExtKeyUsage; len(usages) > 0 && !slices.ContainsFunc(usages, forServers) {
		return fmt.Errorf("%s is limited to other certificates than servers'", chain[0].Subject)
	}
	for _, certificate := range chain {
		if err := CheckTime(certificate, now); err != nil {
			return err
		}
	}
	return nil
}

// CheckServing refuses a kubelet's serving certificate that an apiserver which trusts the roots would refuse, or that names
// fewer addresses than the node has: whichever of them is dialled must be named.
func CheckServing(chain, roots []*x509.Certificate, addresses []netip.Addr, now time.Time) error {
	for _, address := range addresses {
		if err := VerifyServing(chain, roots, address, now); err != nil {
			return err
		}
	}
	return nil
}

// ParseKeyOf reads the private key of a certificate, in PEM: PKCS #8, PKCS #1 or SEC 1. Its errors hold none of it.
func ParseKeyOf(certificate *x509.Certificate, data []byte) (PrivateKey, error) {
	key, _, err := keyOf(certificate, data)
	return key, err
}

func keyOf(certificate *x509.Certificate, data []byte) (PrivateKey, crypto.Signer, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return PrivateKey{}, nil, errors.New("it is not in PEM")
	case block.Type == "CERTIFICATE":
		return PrivateKey{}, nil, errors.New("it is a certificate, where a private key must be")
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return PrivateKey{}, nil, errors.New("it is encrypted; give it decrypted, for example from an ephemeral resource")
	case block.Type == "EC PARAMETERS": // which OpenSSL puts before the key
		return keyOf(certificate, rest)
	}
	alone := pem.EncodeToMemory(block) // what follows isn't looked at
	pair, err := tls.X509KeyPair(EncodeBundle(certificate), alone)
	if err != nil {
		return PrivateKey{}, nil, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return PrivateKey{}, nil, fmt.Errorf("with a private key of type %T nothing can be signed", pair.PrivateKey)
	}
	return PrivateKey{pem: alone}, signer, nil
}

// CA is what the user's own CA issues with, which needs the key.
func (o Own) CA() (*CA, error) {
	_, signer, err := keyOf(o.Chain[0], o.Key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("the private key of %s: %w", o.Chain[0].Subject, err)
	}
	return &CA{Certificate: o.Chain[0], Key: o.Key, signer: signer, above: o.ServedAbove()}, nil
}

// ServedAbove are the certificates that kubelets show after those that the CA issues: the CA's own and of those above it, up
// to a root, which whoever trusts it has.
func (o Own) ServedAbove() []*x509.Certificate {
	var shown []*x509.Certificate
	for _, certificate := range o.Chain {
		if !bytes.Equal(certificate.RawSubject, certificate.RawIssuer) {
			shown = append(shown, certificate)
		}
	}
	return shown
}
