package ssh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// NewKey makes an Ed25519 key, in OpenSSH's format, and returns its public key in the form of a line of authorized_keys.
func NewKey() (pki.PrivateKey, string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return pki.PrivateKey{}, "", fmt.Errorf("generating a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return pki.PrivateKey{}, "", fmt.Errorf("encoding a key: %w", err)
	}
	data := pem.EncodeToMemory(block)
	public, err := PublicKeyOf(data)
	return pki.Conceal(data), public, err
}

// ParseKey reads such a key. Its errors never hold any of the input.
func ParseKey(data []byte) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, errors.New("not a private key in OpenSSH's format, or one with a passphrase")
	}
	if kind := signer.PublicKey().Type(); kind != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("a private key of type %s, not %s", kind, ssh.KeyAlgoED25519)
	}
	return signer, nil
}

// PublicKeyOf returns the public key of a private one.
func PublicKeyOf(data []byte) (string, error) {
	signer, err := ParseKey(data)
	if err != nil {
		return "", err
	}
	return Encode(signer.PublicKey()), nil
}

// Encode writes a public key as NewKey does.
func Encode(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// ParsePublicKey reads one. Options, which OpenSSH lets lines of authorized_keys have, would be followed by nobody.
func ParsePublicKey(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no public key as authorized_keys has them", line)
	case len(options) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%q is more than one public key", line)
	case key.Type() != ssh.KeyAlgoED25519:
		return nil, fmt.Errorf("%q is of type %s, not %s", line, key.Type(), ssh.KeyAlgoED25519)
	}
	return key, nil
}

// ParsePublicKeys reads several, of which there must be at least one.
func ParsePublicKeys(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, err := ParsePublicKey(line)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none")
	}
	return keys, nil
}

// Fingerprint is what a key is called in logs, as ssh-keygen -l shows it.
func Fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

// Fingerprints does so with several.
func Fingerprints(keys []ssh.PublicKey) string {
	var all []string
	for _, key := range keys {
		all = append(all, Fingerprint(key))
	}
	return strings.Join(all, " or ")
}

// Same reports whether two keys are one.
func Same(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

// SameIn reports whether a key is among others.
func SameIn(key ssh.PublicKey, among []ssh.PublicKey) bool {
	for _, other := range among {
		if Same(key, other) {
			return true
		}
	}
	return false
}
