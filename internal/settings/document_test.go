package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

const (
	anIssuer = `{"issuer":{"url":"https://login.example","audiences":["k"]},"claimMappings":{"username":{"claim":"sub","prefix":""}}}`
	aNode    = `{"type":"Node","name":"node"}`
	anRBAC   = `{"type":"RBAC","name":"rbac"}`
)

var testTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// certificatePEM makes a certificate that is valid for a day around testTime.
func certificatePEM(t *testing.T, isCA bool) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a certificate"}, IsCA: isCA, BasicConstraintsValid: true,
		NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(23 * time.Hour),
	}
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data}))
}

// unsigningPEM is a CA's certificate by its basic constraints alone.
func unsigningPEM(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: testTime, NotAfter: testTime.Add(time.Hour),
	}
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data}))
}

func named(t *testing.T, name string) Setting {
	for _, setting := range Table() {
		if setting.Name == name {
			return setting
		}
	}
	require.Fail(t, name)
	return Setting{}
}

func TestPathsThatShutOutJoinsByATokenAreKnown(t *testing.T) {
	const name = "apiserver.anonymous_paths"
	path, setting := ShutOutJoins(map[string]Value{name: neededPaths()})
	require.Equal(t, joinPath, path)
	require.Equal(t, name, setting)
	for _, effective := range []map[string]Value{Effective(Restricted, nil), Effective(Baseline, nil), {name: {"*"}}} {
		path, _ := ShutOutJoins(effective)
		require.Empty(t, path)
	}
}

func TestEveryPartOfAFileIsReadBackFromIt(t *testing.T) {
	bundle := certificatePEM(t, true) + certificatePEM(t, true)
	declared := map[string]Value{
		"apiserver.anonymous_paths":  {"/livez", "/readyz", "/healthz"},
		"apiserver.jwt_issuers":      {anIssuer},
		"apiserver.authorizers":      {aNode, anRBAC},
		"apiserver.client_ca_bundle": {bundle},
		"kubelet.client_ca_bundle":   {bundle},
		NameTunnelMode:               {"konnectivity"},
	}
	effective := Effective(Kubeadm, declared)
	require.Empty(t, Check(effective))
	want := Of(effective)
	require.Len(t, want.Documents, 4, "two of the settings are in one file")
	require.Len(t, want.KubeletDocuments, 1)
	written := maps.Clone(want.Documents)
	maps.Copy(written, want.KubeletDocuments)
	for _, setting := range Table() {
		if setting.Document == "" {
			continue
		}
		require.Contains(t, declared, setting.Name, "a part of a file needs a value here")
		require.Contains(t, append(DocumentFlags(), KubeletDocumentFields()...), setting.Document)
		read := setting.FromDocument(written[setting.Document].Data)
		assert.True(t, setting.Same(declared[setting.Name], read), "%s: %v", setting.Name, read)
		assert.Nil(t, setting.FromDocument(nil), "of an empty file")
	}
	assert.Nil(t, named(t, "apiserver.jwt_issuers").FromDocument([]byte("kind: {")), "of a file that can't be read")
}

func TestFlagsThatCannotBeBesideAFileAreDeclaredAbsent(t *testing.T) {
	want := Of(Effective(Baseline, map[string]Value{
		"apiserver.anonymous_paths": {"*"}, "apiserver.authorizers": {aNode, anRBAC},
	}))
	for _, flag := range []string{"anonymous-auth", "authorization-mode"} {
		values, declared := want.Flags[APIServer][flag]
		require.True(t, declared, flag)
		require.Empty(t, values, flag)
		require.Contains(t, ManagedFlags(APIServer), flag)
	}
	require.NotContains(t, Of(nil).Flags[APIServer], "anonymous-auth")
}

// Whoever has forbidden anonymous clients by the flag isn't to let them in by declaring an issuer of tokens.
func TestAFlagStaysBesideAFileThatDoesNotSpeakOfTheSame(t *testing.T) {
	want := Of(Effective(Kubeadm, map[string]Value{"apiserver.jwt_issuers": {anIssuer}}))
	require.Contains(t, want.Documents, authenticationFlag)
	require.NotContains(t, string(want.Documents[authenticationFlag].Data), "anonymous:")
	require.NotContains(t, want.Flags[APIServer], "anonymous-auth")
	both := Of(Effective(Restricted, map[string]Value{"apiserver.jwt_issuers": {anIssuer}}))
	require.Contains(t, string(both.Documents[authenticationFlag].Data), "anonymous:")
	require.Contains(t, both.Flags[APIServer], "anonymous-auth")
}

func TestWhatTakesThePlaceOfAnotherSettingTakesThatOfTheProfilesToo(t *testing.T) {
	effective := Effective(Baseline, map[string]Value{"apiserver.authorizers": {aNode, anRBAC}})
	require.NotContains(t, effective, "apiserver.authorization_modes")
	require.Contains(t, Effective(Baseline, nil), "apiserver.authorization_modes")
}

func TestOneSpellingOfAFilesPartIsAsGoodAsAnother(t *testing.T) {
	issuers, bundle := named(t, "apiserver.jwt_issuers"), named(t, "apiserver.client_ca_bundle")
	require.True(t, issuers.Same(Value{anIssuer}, Value{"{ \"claimMappings\": {\"username\": {\"prefix\": \"\", \"claim\": \"sub\"}}, " +
		"\"issuer\": {\"audiences\": [\"k\"], \"url\": \"https://login.example\"} }"}))
	text := certificatePEM(t, true)
	require.True(t, bundle.Same(Value{text}, Value{"\n" + text + "\n\n"}))
	require.False(t, bundle.Same(Value{text}, Value{certificatePEM(t, true)}))
}

func TestPartsOfFilesThatCannotWorkAreRefusedWithTheReason(t *testing.T) {
	ca, err := pki.NewCA("a CA", testTime)
	require.NoError(t, err)
	text := certificatePEM(t, true)
	list := func(texts ...string) Value { return texts }
	for sentence, c := range map[string]struct {
		name, refuse string
		value        Value
	}{
		"paths without the probes'":        {"apiserver.anonymous_paths", "without /livez, the probes", list("/healthz", "/readyz")},
		"no path":                          {"apiserver.anonymous_paths", "without /healthz, the probes", Value{}},
		"a pattern":                        {"apiserver.anonymous_paths", `"/livez/*" is not the path of a request`, list("/livez/*")},
		"every path and another":           {"apiserver.anonymous_paths", "there can be no other", list("*", "/livez")},
		"a path that isn't from the root":  {"apiserver.anonymous_paths", `"livez" is not the path`, list("livez")},
		"a path twice":                     {"apiserver.anonymous_paths", "/livez is there twice", list("/livez", "/livez")},
		"an issuer without TLS":            {"apiserver.jwt_issuers", "URL scheme must be https", list(`{"issuer":{"url":"http://a","audiences":["k"]}}`)},
		"an issuer twice":                  {"apiserver.jwt_issuers", "Duplicate value", list(anIssuer, anIssuer)},
		"authorizers without Node":         {"apiserver.authorizers", `without type = "Node", no kubelet could work`, list(anRBAC)},
		"authorizers without RBAC":         {"apiserver.authorizers", `without type = "RBAC", nobody`, list(aNode)},
		"an authorizer that allows all":    {"apiserver.authorizers", "Unsupported value", list(aNode, anRBAC, `{"type":"AlwaysAllow","name":"a"}`)},
		"two authorizers of a name":        {"apiserver.authorizers", "Duplicate value", list(aNode, `{"type":"RBAC","name":"node"}`)},
		"an empty bundle":                  {"apiserver.client_ca_bundle", "it is empty, and would exclude every client", list(" \n")},
		"a bundle that is garbage":         {"apiserver.client_ca_bundle", "not a PEM file of certificates", list("garbage")},
		"a bundle with garbage at its end": {"apiserver.client_ca_bundle", "not a PEM file of certificates", list(text + "garbage")},
		"a key in place of a certificate":  {"apiserver.client_ca_bundle", `PEM block of type "PRIVATE KEY"`, list(string(ca.Key.Reveal()))},
		"a certificate that is cut off": {"apiserver.client_ca_bundle", "certificate 1: ",
			list("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")},
		"a bundle with a damaged certificate": {"apiserver.client_ca_bundle", "PEM block 2 is damaged",
			list(text + strings.Replace(certificatePEM(t, true), "\nM", "\n!", 1) + certificatePEM(t, true))},
		"a leaf in place of a CA":                       {"apiserver.client_ca_bundle", "certificate 1, of CN=a certificate, is not a CA's", list(certificatePEM(t, false))},
		"a CA twice":                                    {"apiserver.client_ca_bundle", "is there twice", list(text + text)},
		"an empty bundle of kubelets' CAs":              {NameKubeletCAs, "it is empty; leave it out", list("")},
		"a bundle of kubelets' CAs that is garbage":     {NameKubeletCAs, "not a PEM file of certificates", list("garbage")},
		"a key in place of a kubelets' CA":              {NameKubeletCAs, `PEM block of type "PRIVATE KEY"`, list(string(ca.Key.Reveal()))},
		"a leaf in place of a kubelets' CA":             {NameKubeletCAs, "certificate 2, of CN=a certificate, is not a CA's", list(text + certificatePEM(t, false))},
		"a kubelets' CA twice":                          {NameKubeletCAs, "is there twice", list(text + text)},
		"a kubelets' CA that may not sign certificates": {NameKubeletCAs, "leaves out to sign", list(unsigningPEM(t))},
		"a bundle for kubelets that is none":            {"kubelet.client_ca_bundle", "not a PEM file of certificates", list("garbage")},
	} {
		t.Run(sentence, func(t *testing.T) {
			problems := Check(map[string]Value{c.name: c.value})
			require.Len(t, problems, 1)
			require.Equal(t, c.name, problems[0].Name)
			require.ErrorContains(t, problems[0].Err, c.refuse)
			require.NotContains(t, problems[0].Err.Error(), "BEGIN")
		})
	}
	problems := Check(map[string]Value{
		"apiserver.authorizers": {aNode, anRBAC}, "apiserver.authorization_modes": {"Node", "RBAC"},
	})
	require.Len(t, problems, 1)
	require.ErrorContains(t, problems[0].Err, "can't be there together with authorization_modes")
	problems = Check(map[string]Value{
		"apiserver.jwt_issuers": {anIssuer}, "apiserver.service_account_issuers": {"https://login.example"},
	})
	require.Len(t, problems, 1)
	require.ErrorContains(t, problems[0].Err, "disallowed issuers")
}

func TestCertificatesOutOfTheirTimeAreRefused(t *testing.T) {
	declared := map[string]Value{"apiserver.client_ca_bundle": {certificatePEM(t, true)}}
	own := Overrides{"dev-worker": {NameKubeletClientCA: {certificatePEM(t, true)}}}
	require.Empty(t, CheckTime(declared, testTime))
	require.Empty(t, own.CheckTime(testTime))
	for _, c := range []struct {
		at     time.Duration
		refuse string
	}{{-2 * time.Hour, "is not valid before 2026-05-31T23:00:00Z"}, {24 * time.Hour, "has expired on 2026-06-01T23:00:00Z"}} {
		problems := CheckTime(declared, testTime.Add(c.at))
		require.Len(t, problems, 1)
		require.ErrorContains(t, problems[0].Err, c.refuse)
		nodes := own.CheckTime(testTime.Add(c.at))
		require.Len(t, nodes, 1)
		require.Equal(t, "dev-worker", nodes[0].Node)
		require.ErrorContains(t, nodes[0].Err, c.refuse)
	}
}
