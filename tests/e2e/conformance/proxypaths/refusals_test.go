package proxypaths

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheServersCertificateIsWrongInEveryWay(t *testing.T) {
	secret, err := badCertificate()
	require.NoError(t, err)
	block, _ := pem.Decode(secret.Data["tls.crt"])
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, wrongInEveryWay(certificate, server, now))
	require.ErrorContains(t, wrongInEveryWay(certificate, certificate.DNSNames[0], now), "whether names are verified")
	require.ErrorContains(t, wrongInEveryWay(certificate, server, certificate.NotBefore), "whether times are verified")
}
