package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// ParseBundle reads the certificates of a PEM file. Anything else in it, above all a private key, is an error.
func ParseBundle(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("not a PEM file of certificates")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a PEM block of type %q, where only certificates may be", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return certificates, nil
}

// CheckCA refuses a certificate that others can't be signed by.
func CheckCA(certificate *x509.Certificate) error {
	switch {
	case !certificate.IsCA:
		return errors.New("is not a CA's")
	case certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("is a CA's, but its key usage leaves out to sign certificates")
	}
	return nil
}

// CheckTime refuses a certificate that isn't valid at a time.
func CheckTime(certificate *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(certificate.NotBefore):
		return fmt.Errorf("%s is not valid before %s", certificate.Subject, certificate.NotBefore.Format(time.RFC3339))
	case now.After(certificate.NotAfter):
		return fmt.Errorf("%s has expired on %s", certificate.Subject, certificate.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// EncodeBundle writes certificates as a PEM file.
func EncodeBundle(certificates ...*x509.Certificate) []byte {
	var buffer bytes.Buffer
	for _, certificate := range certificates {
		buffer.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	return buffer.Bytes()
}

// Fingerprint returns the SHA-256 digest of the certificate in hexadecimal, as `openssl x509 -fingerprint -sha256`
// shows it, without colons and in lower case.
func Fingerprint(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(digest[:])
}
