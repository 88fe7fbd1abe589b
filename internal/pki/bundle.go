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

// ParseBundle reads the certificates of a PEM file. Any other block in it, above all a private key, is an error, and so is
// one that is damaged: whoever trusts the file would go on without its certificate, and not say so. What isn't in a block is
// let pass where it explains one: the text before it, such as OpenSSL's, and comments.
func ParseBundle(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest, number := data, 1; ; number++ {
		block, after := pem.Decode(rest)
		if block == nil {
			if err := checkEnd(rest, number); err != nil {
				return nil, err
			}
			return certificates, nil
		}
		// The decoder passes over what it can't read.
		if read := rest[:len(rest)-len(after)]; bytes.Count(read, blockBegins) != 1 || bytes.Count(read, blockEnds) != 1 {
			return nil, damaged(number)
		}
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("it holds a PEM block of type %q, where only certificates may be", block.Type)
		}
		if len(block.Headers) > 0 {
			return nil, fmt.Errorf("PEM block %d has headers, and Kubernetes would pass over it", number)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", number, err)
		}
		certificates = append(certificates, certificate)
		rest = after
	}
}

const certificateBlock = "CERTIFICATE"

// What the first and the last line of a block begin with.
var blockBegins, blockEnds = []byte("-----BEGIN"), []byte("-----END")

// checkEnd judges what follows the last block that could be read, and is to be the one with a number.
func checkEnd(rest []byte, number int) error {
	if bytes.Contains(rest, blockBegins) || bytes.Contains(rest, blockEnds) {
		return damaged(number)
	}
	for line := range bytes.Lines(rest) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return errors.New("not a PEM file of certificates")
		}
	}
	if number == 1 {
		return errors.New("it holds no certificate")
	}
	return nil
}

func damaged(number int) error {
	return fmt.Errorf("PEM block %d is damaged: its first and its last line must be there, each alone and not indented, with "+
		"nothing but base64 in between", number)
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
		buffer.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: certificate.Raw}))
	}
	return buffer.Bytes()
}

// Fingerprint returns the SHA-256 digest of the certificate in hexadecimal, as `openssl x509 -fingerprint -sha256`
// shows it, without colons and in lower case.
func Fingerprint(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(digest[:])
}
