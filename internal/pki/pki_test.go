package pki

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	now       = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	addresses = []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fc00:f853:ccd:e793::2")}
)

func newTestCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("dev", now)
	require.NoError(t, err)
	return ca
}

func issue(t *testing.T, ca *CA, change func(*ServingRequest)) *ServingCertificate {
	t.Helper()
	request := ServingRequest{Node: "dev-worker", Addresses: addresses, Lifetime: 24 * time.Hour, Now: now}
	if change != nil {
		change(&request)
	}
	issued, err := ca.IssueServing(request)
	require.NoError(t, err)
	return issued
}

func TestAServingCertificateIsJudgedAsAnApiserverWould(t *testing.T) {
	ca, stranger := newTestCA(t), newTestCA(t)
	tests := map[string]struct {
		issuer *CA
		change func(*ServingRequest)
		dialed string
		at     time.Time
		refuse string // empty: accepted
	}{
		"one of the CA that names the dialled IPv4 address is accepted": {
			issuer: ca, dialed: "172.18.0.2", at: now,
		},
		"one of the CA that names the dialled IPv6 address is accepted": {
			issuer: ca, dialed: "fc00:f853:ccd:e793::2", at: now,
		},
		"one of another CA with the same name is refused": {
			issuer: stranger, dialed: "172.18.0.2", at: now,
			refuse: "x509: certificate signed by unknown authority",
		},
		"one that names another node's address is refused": {
			issuer: ca, dialed: "172.18.0.2", at: now,
			change: func(r *ServingRequest) { r.Addresses = []netip.Addr{netip.MustParseAddr("172.18.0.9")} },
			refuse: "x509: certificate is valid for 172.18.0.9, not 172.18.0.2",
		},
		"one that has expired is refused": {
			issuer: ca, dialed: "172.18.0.2", at: now.Add(25 * time.Hour),
			refuse: "x509: certificate has expired or is not yet valid",
		},
		"one from a clock that is ahead is refused until that time": {
			issuer: ca, dialed: "172.18.0.2", at: now.Add(-time.Hour),
			refuse: "x509: certificate has expired or is not yet valid",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			issued := issue(t, test.issuer, test.change)
			err := VerifyServing([]*x509.Certificate{issued.Certificate}, []*x509.Certificate{ca.Certificate},
				netip.MustParseAddr(test.dialed), test.at)
			if test.refuse == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refuse)
		})
	}
}

func TestNothingServedIsRefused(t *testing.T) {
	require.EqualError(t, VerifyServing(nil, nil, addresses[0], now), "no certificate was served")
}

func TestTheCACannotIssueClientCertificatesOrIntermediates(t *testing.T) {
	ca := newTestCA(t)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, ca.Certificate.ExtKeyUsage)
	require.True(t, ca.Certificate.MaxPathLenZero)

	leaf := issue(t, ca, nil).Certificate
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	require.NoError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.ErrorContains(t, err, "incompatible key usage")
}

func TestACAIsReadBackFromItsFiles(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	certificate := EncodeBundle(ca.Certificate)
	leaf := issue(t, ca, nil)
	tests := map[string]struct {
		certificate, key []byte
		refuse           string
	}{
		"its own pair is accepted":               {certificate, ca.Key.Reveal(), ""},
		"another CA's key is refused":            {certificate, other.Key.Reveal(), "not the key of the CA certificate"},
		"a certificate in the key's place":       {certificate, certificate, "not a private key in PKCS #8"},
		"a key in the certificate's place":       {ca.Key.Reveal(), ca.Key.Reveal(), `a PEM block of type "PRIVATE KEY"`},
		"text in the key's place":                {certificate, []byte("hello"), "not a PEM block"},
		"text in the certificate's place":        {[]byte("hello"), ca.Key.Reveal(), "not a PEM file of certificates"},
		"an empty certificate file":              {nil, ca.Key.Reveal(), "it holds no certificate"},
		"a leaf in the CA's place":               {EncodeBundle(leaf.Certificate), leaf.Key.Reveal(), "may not sign certificates"},
		"two certificates in the CA's file":      {EncodeBundle(ca.Certificate, other.Certificate), ca.Key.Reveal(), "holds 2 certificates"},
		"a truncated certificate is not ignored": {append(EncodeBundle(other.Certificate), certificate[:40]...), ca.Key.Reveal(), "PEM block 2 is damaged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			read, err := ParseCA(test.certificate, test.key)
			if test.refuse == "" {
				require.NoError(t, err)
				reissued := issue(t, read, nil)
				require.NoError(t, VerifyServing([]*x509.Certificate{reissued.Certificate},
					[]*x509.Certificate{ca.Certificate}, addresses[0], now))
				return
			}
			require.ErrorContains(t, err, test.refuse)
			require.NotContains(t, err.Error(), keyLine(ca.Key), "an error text must hold no key")
		})
	}
}

func TestACATellsWhichGenerationItIsOf(t *testing.T) {
	ca, err := NewGeneration("dev", "2026-05-01T12:00:00Z", now)
	require.NoError(t, err)
	read, err := ParseCA(EncodeBundle(ca.Certificate), ca.Key.Reveal())
	require.NoError(t, err)
	require.Equal(t, "2026-05-01T12:00:00Z", Generation(read.Certificate))
	require.Equal(t, []string{"dev"}, read.Certificate.Subject.OrganizationalUnit)
	require.Empty(t, Generation(newTestCA(t).Certificate))
}

func TestAPrivateKeyShowsInNoText(t *testing.T) {
	issued := issue(t, newTestCA(t), nil)
	require.Contains(t, string(issued.Key.Reveal()), keyLine(issued.Key), "the search must find a key where one is")

	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("issued", "key", issued.Key, "pair", issued)
	marshalled, err := json.Marshal(struct{ Key PrivateKey }{issued.Key})
	require.NoError(t, err)
	for road, text := range map[string]string{
		"%v": fmt.Sprintf("%v", issued.Key), "%+v of the pair": fmt.Sprintf("%+v", *issued),
		"%#v":      fmt.Sprintf("%#v", issued.Key),
		"an error": fmt.Errorf("with %v", issued.Key).Error(), "slog": logged.String(), "json": string(marshalled),
	} {
		require.NotContains(t, text, keyLine(issued.Key), road)
		require.Contains(t, text, redacted, road)
	}
}

// keyLine returns a line out of the middle of a key's PEM block.
func keyLine(key PrivateKey) string { return strings.Split(string(key.Reveal()), "\n")[1] }

func TestRenewalIsDueAfterTwoThirdsOfALife(t *testing.T) {
	leaf := issue(t, newTestCA(t), func(r *ServingRequest) { r.Lifetime = 30 * time.Hour }).Certificate
	require.Equal(t, 30*time.Hour, Lifetime(leaf))
	require.Equal(t, leaf.NotBefore.Add(20*time.Hour), RenewAfter(leaf))
}

func TestACertificateMustNameExactlyTheNode(t *testing.T) {
	leaf := issue(t, newTestCA(t), nil).Certificate
	more := append([]netip.Addr{netip.MustParseAddr("10.96.0.1")}, addresses...)
	require.True(t, Names(leaf, "dev-worker", addresses))
	require.False(t, Names(leaf, "dev-worker", addresses[:1]), "a certificate with one address too many")
	require.False(t, Names(leaf, "dev-worker", more), "a certificate with one address too few")
	require.False(t, Names(leaf, "dev-worker2", addresses), "a certificate with another node's name")
	require.False(t, Names(leaf, "dev-worker", []netip.Addr{addresses[0], netip.MustParseAddr("172.18.0.3")}))
}

func TestANodeWithoutAddressesGetsNoCertificate(t *testing.T) {
	_, err := newTestCA(t).IssueServing(ServingRequest{Node: "dev-worker", Lifetime: time.Hour, Now: now})
	require.ErrorContains(t, err, "dev-worker has no address")
}
