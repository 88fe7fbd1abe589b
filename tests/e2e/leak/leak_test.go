package leak_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

func TestAKeyIsFoundInEveryFormInWhichItGetsIntoATextByMistake(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	file := ca.Key.Reveal()
	key, err := leak.NewKey("the CA's key", file)
	require.NoError(t, err)

	block, _ := pem.Decode(file)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	signer, ok := parsed.(*ecdsa.PrivateKey)
	require.True(t, ok)
	secret, err := signer.Bytes()
	require.NoError(t, err)
	quoted, err := json.Marshal(map[string]string{"key": string(file)})
	require.NoError(t, err)

	for form, text := range map[string]string{
		"the PEM file":                       string(file),
		"the PEM file quoted in JSON":        string(quoted),
		"the PEM file in base64":             base64.StdEncoding.EncodeToString(file),
		"the DER in base64":                  base64.StdEncoding.EncodeToString(block.Bytes),
		"a key structure printed with %v":    fmt.Sprintf("%v", signer),
		"the secret number printed with %#x": fmt.Sprintf("%#x", secret),
	} {
		require.NotZero(t, key.In([]byte(text)), form)
	}
}

func TestAKeyIsNotTakenForItsPublicPartOrForAnotherKey(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	other, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	key, err := leak.NewKey("the CA's key", ca.Key.Reveal())
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(ca.Certificate.PublicKey)
	require.NoError(t, err)

	require.Zero(t, key.In(pki.EncodeBundle(ca.Certificate)), "its certificate")
	require.Zero(t, key.In(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "its public key")
	require.Zero(t, key.In(other.Key.Reveal()), "another key")
	require.Zero(t, key.In([]byte(base64.StdEncoding.EncodeToString(other.Key.Reveal()))), "another key in base64")
}

func TestAnSSHKeyIsFoundAndNotTakenForItsPublicPartOrForAnother(t *testing.T) {
	made, public, err := ssh.NewKey("2")
	require.NoError(t, err)
	other, _, err := ssh.NewKey("2")
	require.NoError(t, err)
	file := made.Reveal()
	key, err := leak.NewKey("a host key", file)
	require.NoError(t, err)
	block, _ := pem.Decode(file)
	parsed, err := cryptossh.ParseRawPrivateKey(file)
	require.NoError(t, err)
	private, ok := parsed.(*ed25519.PrivateKey)
	require.True(t, ok)
	quoted, err := json.Marshal(map[string]string{"key": string(file)})
	require.NoError(t, err)
	for form, text := range map[string]string{
		"the PEM file":               string(file),
		"the PEM file quoted":        string(quoted),
		"the PEM file in base64":     base64.StdEncoding.EncodeToString(file),
		"the PEM block in base64":    base64.StdEncoding.EncodeToString(block.Bytes),
		"the secret printed with %x": fmt.Sprintf("%x", private.Seed()),
		"the secret in base64":       base64.StdEncoding.EncodeToString(private.Seed()),
	} {
		require.NotZero(t, key.In([]byte(text)), form)
	}
	require.Zero(t, key.In([]byte(public.Line)), "its public key")
	require.Zero(t, key.In(other.Reveal()), "another key")
	require.Zero(t, key.In([]byte(base64.StdEncoding.EncodeToString(other.Reveal()))), "another key in base64")
}

func TestTheKeysThatKubeletsMakeForThemselvesAreKnown(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	for kind, der := range map[string][]byte{
		"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(rsaKey), "EC PRIVATE KEY": sec1,
	} {
		file := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		key, err := leak.NewKey(kind, file)
		require.NoError(t, err, kind)
		require.NotZero(t, key.In(file), kind)
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	for name, file := range map[string][]byte{
		"nothing": nil, "a certificate": pki.EncodeBundle(ca.Certificate), "a text": []byte("PRIVATE KEY"),
	} {
		_, err := leak.NewKey(name, file)
		require.ErrorContains(t, err, name)
	}
}
