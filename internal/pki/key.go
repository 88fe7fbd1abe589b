// Package pki makes and judges the certificates of the kubelet serving path: the CA, what it issues, and whether what
// a kubelet serves may be trusted. It is pure: it touches no file and no network.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

// PrivateKey is a private key in PEM. However it is printed, logged or marshalled, what comes out is a placeholder:
// only Reveal returns the key.
type PrivateKey struct{ pem []byte }

const redacted = "[private key]"

// Conceal takes a key that another format's library has encoded.
func Conceal(pem []byte) PrivateKey { return PrivateKey{pem: pem} }

// Reveal returns the PEM block, for a file on a node.
func (k PrivateKey) Reveal() []byte { return k.pem }

// String, and the three methods after it, stand in the way of every usual road by which a value gets into a text.
func (PrivateKey) String() string { return redacted }

// GoString answers %#v.
func (PrivateKey) GoString() string { return redacted }

// MarshalText answers encoding/json and its kin.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue answers log/slog.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// newKey makes an ECDSA key on P-256, which every supported TLS configuration accepts.
func newKey() (*ecdsa.PrivateKey, PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, PrivateKey{}, fmt.Errorf("generating a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, PrivateKey{}, fmt.Errorf("encoding a key: %w", err)
	}
	return key, PrivateKey{pem: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}, nil
}

// parseKey returns the ECDSA key in a PEM file. Its errors never hold any of the input.
func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not a PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a private key in PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a private key of type %T, not ECDSA", parsed)
	}
	return key, nil
}
