package approver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var known = Nodes{
	"dev-worker":        {netip.MustParseAddr("172.18.0.3"), netip.MustParseAddr("fc00:f853:ccd:e793::3")},
	"dev-control-plane": {netip.MustParseAddr("172.18.0.2")},
}

// wish is a request before it is signed and encoded.
type wish struct {
	template x509.CertificateRequest
	key      crypto.Signer
	spec     certificatesv1.CertificateSigningRequestSpec
	encoded  func([]byte) []byte
}

// newWish is what the kubelet of dev-worker asks for.
func newWish(t *testing.T) *wish {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &wish{
		template: x509.CertificateRequest{
			Subject:     pkix.Name{CommonName: "system:node:dev-worker", Organization: []string{"system:nodes"}},
			DNSNames:    []string{"dev-worker"},
			IPAddresses: []net.IP{net.ParseIP("172.18.0.3")},
		},
		key: key,
		spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: certificatesv1.KubeletServingSignerName,
			Username:   "system:node:dev-worker", Groups: []string{"system:nodes", "system:authenticated"},
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		},
		encoded: func(der []byte) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		},
	}
}

func (w *wish) request(t *testing.T) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &w.template, w.key)
	require.NoError(t, err)
	w.spec.Request = w.encoded(der)
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr-abcde", UID: "0123"}, Spec: w.spec,
	}
}

func TestARequestThatTheNodesKubeletMayMakeIsApproved(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	week := int32(7 * 24 * 60 * 60)
	tests := map[string]func(*wish){
		"as a kubelet makes it": func(*wish) {},
		"with one address":      func(w *wish) { w.template.DNSNames = nil },
		"with its name alone":   func(w *wish) { w.template.IPAddresses = nil },
		"with the addresses of both families": func(w *wish) {
			w.template.IPAddresses = []net.IP{net.ParseIP("172.18.0.3"), net.ParseIP("fc00:f853:ccd:e793::3")}
		},
		"with an IPv4 address in four bytes": func(w *wish) { w.template.IPAddresses = []net.IP{net.ParseIP("172.18.0.3").To4()} },
		"with the name twice":                func(w *wish) { w.template.DNSNames = []string{"dev-worker", "dev-worker"} },
		"with an RSA key, which needs encipherment": func(w *wish) {
			w.key, w.spec.Usages = rsaKey, append(w.spec.Usages, certificatesv1.UsageKeyEncipherment)
		},
		"with an Ed25519 key": func(w *wish) { w.key = edKey },
		"with its usages in another order": func(w *wish) {
			w.spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature}
		},
		"for a week": func(w *wish) { w.spec.ExpirationSeconds = &week },
		"of another node": func(w *wish) {
			w.template.Subject.CommonName, w.spec.Username = "system:node:dev-control-plane", "system:node:dev-control-plane"
			w.template.DNSNames, w.template.IPAddresses = []string{"dev-control-plane"}, []net.IP{net.ParseIP("172.18.0.2")}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWish(t)
			change(w)
			require.NoError(t, Judge(w.request(t), known))
		})
	}
}

func TestARequestForWhatTheNodeIsNotIsRefusedAndSaysWhy(t *testing.T) {
	shortCurve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	shortRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	uri, err := url.Parse("spiffe://cluster.local/ns/kube-system")
	require.NoError(t, err)
	tests := map[string]struct {
		change func(*wish)
		reason Reason
		says   string
	}{
		"no PEM":        {func(w *wish) { w.encoded = func(der []byte) []byte { return der } }, InvalidRequest, "no certificate request in PEM"},
		"a certificate": {func(w *wish) { w.encoded = encodedAs("CERTIFICATE") }, InvalidRequest, "no certificate request in PEM"},
		"nothing of a request": {func(w *wish) {
			w.encoded = func([]byte) []byte { return encodedAs("CERTIFICATE REQUEST")([]byte("x")) }
		}, InvalidRequest, "can't be read"},
		"two requests": {func(w *wish) {
			twice := w.encoded
			w.encoded = func(der []byte) []byte { return append(twice(der), twice(der)...) }
		}, InvalidRequest, "something follows"},
		"a key of somebody else's": {func(w *wish) {
			w.encoded = func(der []byte) []byte { der[len(der)-1] ^= 1; return encodedAs("CERTIFICATE REQUEST")(der) }
		}, InvalidRequest, "isn't signed with its own key"},

		"no organization":                 {func(w *wish) { w.template.Subject.Organization = nil }, WrongSubject, "organization is not system:nodes alone"},
		"administrators as organization":  {func(w *wish) { w.template.Subject.Organization = []string{"system:masters"} }, WrongSubject, "O=system:masters"},
		"an organization more":            {func(w *wish) { w.template.Subject.Organization = []string{"system:nodes", "system:masters"} }, WrongSubject, "not system:nodes alone"},
		"the organization twice":          {func(w *wish) { w.template.Subject.Organization = []string{"system:nodes", "system:nodes"} }, WrongSubject, "not system:nodes alone"},
		"a common name that is no node's": {func(w *wish) { w.template.Subject.CommonName = "kubernetes" }, WrongSubject, "common name is no node's"},
		"the common name of a nameless":   {func(w *wish) { w.template.Subject.CommonName, w.spec.Username = "system:node:", "system:node:" }, WrongSubject, "common name is no node's"},
		"a country besides":               {func(w *wish) { w.template.Subject.Country = []string{"AQ"} }, WrongSubject, "more than a common name and an organization"},
		"another node's user":             {func(w *wish) { w.spec.Username = "system:node:dev-control-plane" }, WrongUser, `"system:node:dev-control-plane" asked for a certificate of "system:node:dev-worker"`},
		"an administrator":                {func(w *wish) { w.spec.Username = "kubernetes-admin" }, WrongUser, `"kubernetes-admin" asked`},
		"a user that looks like a node's": {func(w *wish) { w.spec.Groups = []string{"system:authenticated"} }, WrongGroups, "not in group system:nodes"},
		"client authentication":           {func(w *wish) { w.spec.Usages[1] = certificatesv1.UsageClientAuth }, WrongUsages, "client auth"},
		"client authentication besides":   {func(w *wish) { w.spec.Usages = append(w.spec.Usages, certificatesv1.UsageClientAuth) }, WrongUsages, "client auth"},
		"certificate signing":             {func(w *wish) { w.spec.Usages = append(w.spec.Usages, certificatesv1.UsageCertSign) }, WrongUsages, "cert sign"},
		"too few usages":                  {func(w *wish) { w.spec.Usages = w.spec.Usages[:1] }, WrongUsages, "at most with"},
		"any usage":                       {func(w *wish) { w.spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageAny} }, WrongUsages, "any"},
		"a key on a short curve":          {func(w *wish) { w.key = shortCurve }, WeakKey, "224 bits"},
		"a short RSA key":                 {func(w *wish) { w.key = shortRSA }, WeakKey, "1024 bits"},
		"a node that nobody knows": {func(w *wish) {
			w.template.Subject.CommonName, w.spec.Username = "system:node:dev-worker2", "system:node:dev-worker2"
		}, UnknownNode, "apply again"},
		"an e-mail address":                {func(w *wish) { w.template.EmailAddresses = []string{"root@dev-worker"} }, ForbiddenNames, "root@dev-worker"},
		"a URI":                            {func(w *wish) { w.template.URIs = []*url.URL{uri} }, ForbiddenNames, "spiffe://cluster.local/ns/kube-system"},
		"no name at all":                   {func(w *wish) { w.template.DNSNames, w.template.IPAddresses = nil, nil }, MissingNames, "neither"},
		"the API's name":                   {func(w *wish) { w.template.DNSNames = []string{"kubernetes.default.svc"} }, ForeignNames, `"kubernetes.default.svc", which is not the name of node dev-worker`},
		"the API's name besides its own":   {func(w *wish) { w.template.DNSNames = append(w.template.DNSNames, "kubernetes.default.svc") }, ForeignNames, "kubernetes.default.svc"},
		"another node's name":              {func(w *wish) { w.template.DNSNames = []string{"dev-control-plane"} }, ForeignNames, "dev-control-plane"},
		"any name":                         {func(w *wish) { w.template.DNSNames = []string{"*"} }, ForeignNames, `"*"`},
		"its name in capitals":             {func(w *wish) { w.template.DNSNames = []string{"DEV-WORKER"} }, ForeignNames, "DEV-WORKER"},
		"its name with a dot":              {func(w *wish) { w.template.DNSNames = []string{"dev-worker."} }, ForeignNames, `"dev-worker."`},
		"its address as a name":            {func(w *wish) { w.template.DNSNames = []string{"172.18.0.3"} }, ForeignNames, "172.18.0.3"},
		"another node's address":           {func(w *wish) { w.template.IPAddresses = []net.IP{net.ParseIP("172.18.0.2")} }, ForeignAddresses, "172.18.0.2, which node dev-worker doesn't have: it has [172.18.0.3 fc00:f853:ccd:e793::3]"},
		"another node's address besides":   {func(w *wish) { w.template.IPAddresses = append(w.template.IPAddresses, net.ParseIP("172.18.0.2")) }, ForeignAddresses, "172.18.0.2"},
		"the address of the API's service": {func(w *wish) { w.template.IPAddresses = []net.IP{net.ParseIP("10.96.0.1")} }, ForeignAddresses, "10.96.0.1"},
		"its own loopback address":         {func(w *wish) { w.template.IPAddresses = []net.IP{net.ParseIP("127.0.0.1")} }, ForeignAddresses, "127.0.0.1"},
		"no particular address":            {func(w *wish) { w.template.IPAddresses = []net.IP{net.IPv6unspecified} }, ForeignAddresses, "::"},
		"to be a CA": {func(w *wish) {
			w.template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}
		}, ForeignExtensions, "2.5.29.19"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWish(t)
			require.NoError(t, Judge(w.request(t), known), "without the change")
			test.change(w)
			err := Judge(w.request(t), known)
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, test.reason, refusal.Reason, err)
			require.ErrorContains(t, err, test.says)
		})
	}
}

func encodedAs(kind string) func([]byte) []byte {
	return func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
}

func TestOnlyUndecidedRequestsOfKubeletsForServingCertificatesAreAnApproversConcern(t *testing.T) {
	decided := func(kind certificatesv1.RequestConditionType) func(*certificatesv1.CertificateSigningRequest) {
		return func(r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Status: corev1.ConditionTrue}}
		}
	}
	tests := map[string]func(*certificatesv1.CertificateSigningRequest){
		"another signer's": func(r *certificatesv1.CertificateSigningRequest) {
			r.Spec.SignerName = certificatesv1.KubeAPIServerClientSignerName
		},
		"one approved":        decided(certificatesv1.CertificateApproved),
		"one denied":          decided(certificatesv1.CertificateDenied),
		"one that failed":     decided(certificatesv1.CertificateFailed),
		"one that was signed": func(r *certificatesv1.CertificateSigningRequest) { r.Status.Certificate = []byte("x") },
	}
	require.True(t, Concerns(newWish(t).request(t)))
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			request := newWish(t).request(t)
			change(request)
			require.False(t, Concerns(request))
		})
	}
}
