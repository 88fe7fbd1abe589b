package pki

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// signed answers a request as a signer does that changes some of it.
func signed(t *testing.T, ca *CA, request *SigningRequest, change func(*x509.Certificate)) []byte {
	t.Helper()
	block, _ := pem.Decode(request.CSR)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, csr.CheckSignature())
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: csr.Subject, NotBefore: now, NotAfter: now.Add(time.Hour)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Certificate, csr.PublicKey, ca.signer)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestASignerMayGiveNothingButWhatWasAskedFor(t *testing.T) {
	ca := newTestCA(t)
	request, err := NewClientRequest("somebody")
	require.NoError(t, err)
	other, err := NewClientRequest("somebody")
	require.NoError(t, err)
	tests := map[string]struct {
		answer []byte
		refuse string
	}{
		"what was asked for":         {signed(t, ca, request, nil), ""},
		"a certificate of another's": {signed(t, ca, other, nil), "is of another key"},
		"nothing that can be read":   {[]byte("hello"), "not a PEM file"},
		"a group that nobody asked for": {signed(t, ca, request, func(c *x509.Certificate) {
			c.Subject.Organization = []string{"system:masters"}
		}), "names CN=somebody,O=system:masters, asked for was CN=somebody"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			certificate, err := request.Accept(test.answer)
			if test.refuse != "" {
				require.ErrorContains(t, err, test.refuse)
				return
			}
			require.NoError(t, err)
			require.Equal(t, pkix.Name{CommonName: "somebody"}.String(), certificate.Subject.String())
			require.True(t, SignedBy(certificate, []*x509.Certificate{newTestCA(t).Certificate, ca.Certificate}))
			require.False(t, SignedBy(certificate, []*x509.Certificate{newTestCA(t).Certificate}))
			require.False(t, SameSubject(certificate, ca.Certificate))
		})
	}
	require.NotContains(t, string(request.CSR), keyLine(request.Key))
}
