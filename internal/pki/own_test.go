package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority is a CA of somebody's own.
type authority struct {
	certificate *x509.Certificate
	signer      crypto.Signer
	key         []byte
}

func newAuthority(t *testing.T, name string, above *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	return newAuthorityOf(t, name, signer, above, change)
}

func newAuthorityOf(
	t *testing.T, name string, signer crypto.Signer, above *authority, change func(*x509.Certificate),
) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	parent, by := template, signer
	if above != nil {
		parent, by = above.certificate, above.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, signer.Public(), by)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(signer)
	require.NoError(t, err)
	return &authority{certificate, signer, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}
}

func TestAChainIsReadOrRefusedWithTheReason(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	sub := newAuthority(t, "sub", root, nil)
	join := func(all ...*authority) (data []byte) {
		for _, each := range all {
			data = append(data, EncodeBundle(each.certificate)...)
		}
		return data
	}
	tests := map[string]struct {
		data   []byte
		refuse string
	}{
		"a root":                          {join(root), ""},
		"a CA and the one above it":       {join(sub, root), ""},
		"a CA without the one above it":   {join(sub), ""},
		"the wrong way round":             {join(root, sub), "certificate 1, of CN=root, is not signed by the one after it, of CN=sub"},
		"strangers to each other":         {join(sub, newAuthority(t, "other", nil, nil)), "is not signed by the one after it, of CN=other"},
		"nothing":                         {[]byte(" \n"), "it is empty"},
		"garbage":                         {[]byte("garbage"), "not a PEM file"},
		"a key in place of a certificate": {root.key, `a PEM block of type "PRIVATE KEY"`},
		"a certificate with its key":      {append(join(root), root.key...), `a PEM block of type "PRIVATE KEY"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			chain, err := ParseChain(test.data)
			if test.refuse != "" {
				require.ErrorContains(t, err, test.refuse)
				require.NotContains(t, err.Error(), keyLine(PrivateKey{root.key}))
				return
			}
			require.NoError(t, err)
			require.NoError(t, CheckIssuer(chain, now))
		})
	}
}

func TestACAThatCannotIssueServingCertificatesIsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(*x509.Certificate)
		refuse string
	}{
		"a leaf":                     {func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }, "CN=it is not a CA's"},
		"one that may not sign":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, "leaves out to sign"},
		"one that has expired":       {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, "has expired on"},
		"one that isn't valid yet":   {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, "is not valid before"},
		"one that is for clients":    {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "limited to other"},
		"one that is for servers":    {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ""},
		"one that is for everything": {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckIssuer([]*x509.Certificate{newAuthority(t, "it", nil, test.change).certificate}, now)
			if test.refuse == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refuse)
		})
	}
	root := newAuthority(t, "root", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	err := CheckIssuer([]*x509.Certificate{newAuthority(t, "sub", root, nil).certificate, root.certificate}, now)
	require.ErrorContains(t, err, "CN=root has expired on")
}

func TestAKeyInEveryUsualFormIsReadAndIssuesWhatIsVerified(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	parameters := encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	tests := map[string]struct {
		signer crypto.Signer
		key    []byte // nil for PKCS #8
	}{
		"RSA in PKCS #8":                {rsaKey, nil},
		"RSA in PKCS #1":                {rsaKey, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		"ECDSA in PKCS #8":              {ecKey, nil},
		"ECDSA in SEC 1":                {ecKey, encode("EC PRIVATE KEY", sec1)},
		"ECDSA in SEC 1 as OpenSSL has": {ecKey, append(parameters, encode("EC PRIVATE KEY", sec1)...)},
		"Ed25519":                       {edKey, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ca := newAuthorityOf(t, "own", test.signer, nil, nil)
			if test.key == nil {
				test.key = ca.key
			}
			key, err := ParseKeyOf(ca.certificate, test.key)
			require.NoError(t, err)
			issuer, err := Own{Chain: []*x509.Certificate{ca.certificate}, Key: key}.CA()
			require.NoError(t, err)
			issued := issue(t, issuer, nil)
			require.NoError(t, CheckServing(issued.Chain(), []*x509.Certificate{ca.certificate}, addresses, now))
		})
	}
}

func TestAKeyThatIsNotTheCertificatesIsRefusedWithoutShowingIt(t *testing.T) {
	ca, other := newAuthority(t, "own", nil, nil), newAuthority(t, "other", nil, nil)
	block, _ := pem.Decode(ca.key)
	encode := func(kind string, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: block.Bytes})
	}
	tests := map[string]struct {
		key    []byte
		refuse string
	}{
		"another's":                   {other.key, "private key does not match public key"},
		"nothing":                     {nil, "not in PEM"},
		"text":                        {[]byte("hello"), "not in PEM"},
		"a certificate":               {EncodeBundle(ca.certificate), "it is a certificate"},
		"encrypted":                   {encode("ENCRYPTED PRIVATE KEY", nil), "it is encrypted"},
		"encrypted as of old":         {encode("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED"}), "it is encrypted"},
		"a public key":                {encode("PUBLIC KEY", nil), "[PUBLIC KEY]"},
		"a public key before it":      {append(encode("PUBLIC KEY", nil), ca.key...), "[PUBLIC KEY]"},
		"damaged":                     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes[:40]}), "failed to parse private key"},
		"without its last characters": {ca.key[:len(ca.key)-40], "not in PEM"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKeyOf(ca.certificate, test.key)
			require.ErrorContains(t, err, test.refuse)
			require.NotContains(t, err.Error(), keyLine(PrivateKey{ca.key}))
			require.NotContains(t, err.Error(), keyLine(PrivateKey{other.key}))
		})
	}
	_, err := Own{Chain: []*x509.Certificate{ca.certificate}}.CA()
	require.ErrorContains(t, err, "the private key of CN=own: it is not in PEM")
}

func TestASubordinateCAIsServedUpToTheRootAndTrustedByItself(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	middle := newAuthority(t, "middle", root, nil)
	sub := newAuthority(t, "sub", middle, nil)
	key, err := ParseKeyOf(sub.certificate, sub.key)
	require.NoError(t, err)
	own := Own{Chain: []*x509.Certificate{sub.certificate, middle.certificate, root.certificate}, Key: key}
	require.Equal(t, []*x509.Certificate{sub.certificate, middle.certificate}, own.ServedAbove())
	ca, err := own.CA()
	require.NoError(t, err)
	chain := issue(t, ca, nil).Chain()
	for _, trusted := range []*authority{sub, root} {
		require.NoError(t, CheckServing(chain, []*x509.Certificate{trusted.certificate}, addresses, now))
	}
	sibling := newAuthority(t, "sub", middle, nil)
	require.ErrorContains(t, CheckServing(chain, []*x509.Certificate{sibling.certificate}, addresses, now), "unknown authority")
}

func TestEveryAddressOfANodeMustBeNamed(t *testing.T) {
	ca := newTestCA(t)
	roots := []*x509.Certificate{ca.Certificate}
	chain := issue(t, ca, func(r *ServingRequest) { r.Addresses = addresses[:1] }).Chain()
	require.NoError(t, CheckServing(chain, roots, addresses[:1], now))
	require.EqualError(t, CheckServing(chain, roots, addresses, now),
		"x509: certificate is valid for 172.18.0.2, not fc00:f853:ccd:e793::2")
	require.EqualError(t, CheckServing(nil, roots, []netip.Addr{addresses[0]}, now), "no certificate was served")
}
