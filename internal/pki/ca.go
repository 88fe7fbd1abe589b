package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// CALifetime is how long a new CA is valid: as long as the CAs that kubeadm makes (Kubernetes v1.37.1,
// cmd/kubeadm/app/constants/constants.go).
const CALifetime = 10 * 365 * 24 * time.Hour

// backdate is how far a certificate's validity begins before it was issued, for nodes whose clocks are behind.
const backdate = time.Minute

// CA signs the certificates of one kind of server and nothing else: it is limited to server authentication and can't have
// intermediates, so that a stolen key forges such servers, kubelets for example, but neither clients nor, since no client of
// the apiserver trusts it, the apiserver.
type CA struct {
	Certificate *x509.Certificate
	Key         PrivateKey
	signer      crypto.Signer
	above       []*x509.Certificate // that servers show after their own
}

// NewCA makes a CA whose key is new. The name, which goes into the subject, tells people which cluster it is for.
func NewCA(name string, now time.Time) (*CA, error) { return NewGeneration(name, "", now) }

// NewGeneration does the same, and has the certificate tell which generation it is of; see Generation.
func NewGeneration(name, generation string, now time.Time) (*CA, error) {
	return newCA(pkix.Name{
		CommonName: "kubelet-serving-ca", OrganizationalUnit: []string{name}, SerialNumber: generation,
	}, now)
}

// NewServerCA makes a CA for servers of another kind than kubelets.
func NewServerCA(kind, name string, now time.Time) (*CA, error) {
	return newCA(pkix.Name{CommonName: kind + "-ca", OrganizationalUnit: []string{name}}, now)
}

func newCA(subject pkix.Name, now time.Time) (*CA, error) {
	signer, key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notBefore := now.Add(-backdate).UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(CALifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	certificate, err := sign(template, template, &signer.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("signing the CA certificate: %w", err)
	}
	return &CA{Certificate: certificate, Key: key, signer: signer}, nil
}

// Generation is the text that somebody asked for a new CA by; empty if nobody did. It stands in the certificate, as the
// subject's serial number, so that who has seen the CA knows whether it is the one that was asked for.
func Generation(ca *x509.Certificate) string { return ca.Subject.SerialNumber }

// MaxGeneration is how long such a text may be (RFC 5280, appendix A.1, ub-serial-number).
const MaxGeneration = 64

// ParseCA reads a CA back from its two files. Its errors say what is wrong with which of them, and hold none of the key.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	certificates, err := ParseBundle(certPEM)
	if err != nil {
		return nil, fmt.Errorf("the CA certificate: %w", err)
	}
	if len(certificates) != 1 {
		return nil, fmt.Errorf("the CA certificate: the file holds %d certificates, not one", len(certificates))
	}
	certificate := certificates[0]
	if !certificate.IsCA || certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("the CA certificate: it may not sign certificates")
	}
	signer, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the CA key: %w", err)
	}
	if !signer.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the CA key: it is not the key of the CA certificate")
	}
	return &CA{Certificate: certificate, Key: PrivateKey{pem: keyPEM}, signer: signer}, nil
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial returns 127 random bits: RFC 5280 allows 20 octets, the CA/Browser Forum asks for at least 64 bits.
func newSerial() (*big.Int, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	serial, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}
