package ssh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// NewKey makes an Ed25519 key, as the content of its file: a line with the public key, as authorized_keys has them, with the
// generation as its comment, and then the key, in OpenSSH's format. What is public is read without what isn't. It returns that
// line's parts as well.
func NewKey(generation string) (pki.PrivateKey, PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return pki.PrivateKey{}, PublicKey{}, fmt.Errorf("generating a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return pki.PrivateKey{}, PublicKey{}, fmt.Errorf("encoding a key: %w", err)
	}
	data := pem.EncodeToMemory(block)
	line, err := PublicKeyOf(data)
	if err != nil {
		return pki.PrivateKey{}, PublicKey{}, err
	}
	public := PublicKey{Line: line, Generation: generation}
	return pki.Conceal(append([]byte(public.firstLine()+"\n"), data...)), public, nil
}

// PublicKey is what the first line of a key's file tells.
type PublicKey struct {
	Line       string // as authorized_keys has it, without a comment
	Generation string // by which somebody asked for it; empty if nobody did
}

func (k PublicKey) firstLine() string {
	if k.Generation == "" {
		return k.Line
	}
	return k.Line + " " + url.QueryEscape(k.Generation)
}

// ParseFirstLine reads it.
func ParseFirstLine(line string) (PublicKey, error) {
	key, err := ParsePublicKey(line)
	if err != nil {
		return PublicKey{}, err
	}
	found := PublicKey{Line: Encode(key)}
	_, comment, _, _, _ := ssh.ParseAuthorizedKey([]byte(line))
	found.Generation, err = url.QueryUnescape(comment)
	return found, err
}

// Fingerprint is what the key is called in logs.
func (k PublicKey) Fingerprint() string {
	key, err := ParsePublicKey(k.Line)
	if err != nil {
		return ""
	}
	return Fingerprint(key)
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
