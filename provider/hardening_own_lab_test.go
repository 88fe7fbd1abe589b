package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// ownCA is one of the user's own.
type ownCA struct {
	name   string
	signer *ecdsa.PrivateKey
	own    pki.Own
}

func newOwnCA(t *testing.T, name string, above *ownCA) *ownCA {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-96 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	parent, by := template, signer
	var chain []*x509.Certificate
	if above != nil {
		parent, by, chain = above.own.Chain[0], above.signer, above.own.Chain
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, signer.Public(), by)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(signer)
	require.NoError(t, err)
	key, err := pki.ParseKeyOf(certificate, []byte(pemOf("PRIVATE KEY", encoded)))
	require.NoError(t, err)
	return &ownCA{name, signer, pki.Own{Chain: append([]*x509.Certificate{certificate}, chain...), Key: key}}
}

// issueOwn makes a certificate for a node of which nothing but the name is known.
func issueOwn(t *testing.T, ca *ownCA, node string) pki.Own {
	t.Helper()
	issuer, err := ca.own.CA()
	require.NoError(t, err)
	issued, err := issuer.IssueServing(pki.ServingRequest{
		Node: node, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Lifetime: time.Hour, Now: time.Now(),
	})
	require.NoError(t, err)
	return pki.Own{Chain: issued.Chain(), Key: issued.Key}
}

// hcl declares the CA with its key, or without.
func (c *ownCA) hcl(key string) string {
	return "  kubelet_serving_ca = {\n" + pairHCL(c.own, key) + "  }\n"
}

func (c *ownCA) key() string { return keyHCL(c.own) }

func pairHCL(own pki.Own, key string) string {
	return fmt.Sprintf("certificate = <<-EOT\n%s    EOT\n%s", pki.EncodeBundle(own.Chain...), key)
}

func keyHCL(own pki.Own) string {
	return fmt.Sprintf("private_key_wo = <<-EOT\n%s    EOT\n", own.Key.Reveal())
}

func providedHCL(certificates map[string]pki.Own) string {
	var text strings.Builder
	for node, own := range certificates {
		fmt.Fprintf(&text, "    %q = {\n%s    }\n", node, pairHCL(own, keyHCL(own)))
	}
	return "  kubelet_serving_certificates = {\n" + text.String() + "  }\n"
}

func (l hardeningLab) open() *cluster.Cluster {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	return opened
}

// provide makes certificates for every node, which are valid for a day from a time on.
func (l hardeningLab) provide(ca *ownCA, from time.Time) map[string]pki.Own {
	return l.provideFor(ca, from, (*cluster.Node).Addresses)
}

// provideOthers makes some that name an address that no node has.
func (l hardeningLab) provideOthers(ca *ownCA) map[string]pki.Own {
	return l.provideFor(ca, time.Now(), func(*cluster.Node) []netip.Addr { return []netip.Addr{netip.MustParseAddr("192.0.2.1")} })
}

func (l hardeningLab) provideFor(ca *ownCA, from time.Time, addresses func(*cluster.Node) []netip.Addr) map[string]pki.Own {
	issuer, err := ca.own.CA()
	require.NoError(l.t, err)
	made := map[string]pki.Own{}
	for _, node := range l.open().Nodes() {
		issued, err := issuer.IssueServing(pki.ServingRequest{
			Node: node.Name(), Addresses: addresses(node), Lifetime: 24 * time.Hour, Now: from,
		})
		require.NoError(l.t, err)
		made[node.Name()] = pki.Own{Chain: issued.Chain(), Key: issued.Key}
	}
	return made
}

// servingFiles are what kubelets serve from.
func (l hardeningLab) servingFiles() string {
	var text string
	for node := range 2 {
		text += l.output(node, `stat --format '%a %U %G' /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key
sha256sum /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key; find /etc/kubernetes -path '*kubecomm*'`)
	}
	return text
}

// hasNoKeyOfACA sees that control planes have the CA's certificate and no key with it.
func (l hardeningLab) hasNoKeyOfACA() {
	l.onControlPlane(`cd /etc/kubernetes/pki/kubecomm; ls; grep -q BEGIN kubelet-serving-own-ca.crt; ! grep -rl "PRIVATE KEY" .`)
}

// serve has kubelets serve other certificates, as somebody would by hand, and waits until they do.
func (l hardeningLab) serve(certificates map[string]pki.Own) {
	for _, node := range l.open().Nodes() {
		own := certificates[node.Name()]
		for file, data := range map[string][]byte{"key": own.Key.Reveal(), "crt": pki.EncodeBundle(own.Chain...)} {
			path := "/var/lib/kubelet/pki/kubelet." + file
			require.NoError(l.t, node.WriteFile(l.t.Context(), path, cluster.File{Data: data, Mode: 0o600}))
		}
	}
	l.eventually("the kubelets to serve them", func(observed apply.Observation, err error) error {
		for _, node := range observed.Nodes {
			if leaf := node.Serving.Leaf(); leaf == nil || !leaf.Equal(certificates[node.Name].Chain[0]) {
				err = errors.Join(err, fmt.Errorf("node %s serves another", node.Name))
			}
		}
		return err
	})
}
