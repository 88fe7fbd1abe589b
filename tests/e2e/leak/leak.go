// Package leak looks for private keys where none may be: in texts such as Terraform's state and logs, and in the files
// of nodes. It knows a key in the forms in which one gets into a text by mistake.
package leak

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// pieceLength is that of a line in a PEM file.
const pieceLength = 64

// Key is a private key to look for.
type Key struct {
	name   string
	pieces []string
}

// NewKey takes a key from its PEM file.
func NewKey(name string, file []byte) (Key, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return Key{}, fmt.Errorf("%s: not a PEM file", name)
	}
	// The file as one line of base64 is how secrets and kubeconfigs hold it.
	lines, chunks := pemLines(file), chunks(base64.StdEncoding.EncodeToString(file))
	if block.Type == "RSA PRIVATE KEY" {
		// It begins with the modulus, which stands in the certificate too.
		return Key{name, slices.Concat(lines[len(lines)/2:], chunks[len(chunks)/2:])}, nil
	}
	if block.Type == "OPENSSH PRIVATE KEY" {
		return newSSHKey(name, file, block)
	}
	key, err := parseECDSA(block)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", name, err)
	}
	secret, err := key.Bytes()
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", name, err)
	}
	// It ends with the public key.
	lines, chunks = lines[:len(lines)*2/3], chunks[:len(chunks)/2]
	number := new(big.Int).SetBytes(secret) // and as Go prints it
	printed := []string{number.String(), number.Text(16), strings.ToUpper(number.Text(16))}
	return Key{name, slices.Concat(lines, chunks, printed)}, nil
}

// newSSHKey takes an Ed25519 key, whose public key stands before and after what is secret.
func newSSHKey(name string, file []byte, block *pem.Block) (Key, error) {
	parsed, err := ssh.ParseRawPrivateKey(file)
	if err != nil {
		return Key{}, fmt.Errorf("%s: no key of OpenSSH's", name)
	}
	key, ok := parsed.(*ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("%s: a key of type %T", name, parsed)
	}
	secret := key.Seed()
	const lineBytes = pieceLength / 4 * 3 // that a line, or a piece of base64, stands for
	first := bytes.Index(block.Bytes, secret) / lineBytes
	last := (bytes.Index(block.Bytes, secret) + len(secret) - 1) / lineBytes
	lines := pemLines(pem.EncodeToMemory(block))
	pieces := []string{hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret)}
	pieces = append(pieces, lines[first:last+1]...)
	// The file as one line of base64, as far as it stands for those lines alone.
	begin := bytes.Index(file, []byte(lines[first]))
	end := bytes.Index(file, []byte(lines[last])) + len(lines[last])
	encoded := base64.StdEncoding.EncodeToString(file)
	for at := (begin + lineBytes - 1) / lineBytes; (at+1)*lineBytes <= end; at++ {
		pieces = append(pieces, encoded[at*pieceLength:(at+1)*pieceLength])
	}
	return Key{name, pieces}, nil
}

func parseECDSA(block *pem.Block) (*ecdsa.PrivateKey, error) {
	if block.Type == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(block.Bytes)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("a PEM block of type %s that is no key", block.Type)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", parsed)
	}
	return key, nil
}

// String is the key's name, whatever is printed.
func (k Key) String() string { return k.name }

// In returns how many pieces of the key are in the text.
func (k Key) In(text []byte) int {
	found := 0
	for _, piece := range k.pieces {
		if bytes.Contains(text, []byte(piece)) {
			found++
		}
	}
	return found
}

func pemLines(file []byte) []string {
	var lines []string
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "-----") {
			lines = append(lines, line)
		}
	}
	return lines
}

// chunks leaves out the beginning and the end, which are the same for every key.
func chunks(text string) []string {
	var cut []string
	for at := pieceLength; at+2*pieceLength <= len(text); at += pieceLength {
		cut = append(cut, text[at:at+pieceLength])
	}
	return cut
}
