package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
)

// SigningRequest is a new key, and what asks a signer for a certificate of it.
type SigningRequest struct {
	Key PrivateKey
	CSR []byte // PEM

	subject pkix.Name
	public  *ecdsa.PublicKey
}

// NewClientRequest makes a key and a request that names a user. One who is a user alone, and of no group, has no more
// rights than are bound to that very name.
func NewClientRequest(user string) (*SigningRequest, error) {
	return newSigningRequest(&x509.CertificateRequest{Subject: pkix.Name{CommonName: user}})
}

func newSigningRequest(template *x509.CertificateRequest) (*SigningRequest, error) {
	signer, key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, signer)
	if err != nil {
		return nil, fmt.Errorf("requesting a certificate for %s: %w", template.Subject, err)
	}
	return &SigningRequest{
		Key: key, CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		subject: template.Subject, public: &signer.PublicKey,
	}, nil
}

// Accept reads the PEM file that a signer answered with, and refuses what was not asked for.
func (r *SigningRequest) Accept(data []byte) (*x509.Certificate, error) {
	certificates, err := ParseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("the signed certificate: %w", err)
	}
	certificate := certificates[0]
	if !r.public.Equal(certificate.PublicKey) {
		return nil, errors.New("the signed certificate is of another key")
	}
	if certificate.Subject.String() != r.subject.String() {
		return nil, fmt.Errorf("the signed certificate names %s, asked for was %s", certificate.Subject, r.subject)
	}
	return certificate, nil
}

// SameSubject reports whether two certificates stand for the same user and groups.
func SameSubject(a, b *x509.Certificate) bool { return bytes.Equal(a.RawSubject, b.RawSubject) }

// SignedBy reports whether one of the CAs has signed the certificate.
func SignedBy(certificate *x509.Certificate, cas []*x509.Certificate) bool {
	for _, ca := range cas {
		if certificate.CheckSignatureFrom(ca) == nil {
			return true
		}
	}
	return false
}
