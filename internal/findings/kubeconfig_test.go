package findings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// authority is a CA as a cluster's is.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := authority{template, key}
	a.certificate = a.sign(t, template)
	return a
}

func (a authority) sign(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

func (a authority) client(t *testing.T, user string, groups ...string) []byte {
	t.Helper()
	return pki.EncodeBundle(a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: user, Organization: groups},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}))
}

func TestAKubeconfigMustVerifyTheApiserverAndNameItsOwner(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	const (
		manager   = "/etc/kubernetes/controller-manager.conf"
		scheduler = "/etc/kubernetes/scheduler.conf"
		kubelet   = "/etc/kubernetes/kubelet.conf"
		admin     = "/etc/kubernetes/admin.conf"
	)
	clients := map[string][]byte{
		manager: ca.client(t, "system:kube-controller-manager"), scheduler: ca.client(t, "system:kube-scheduler"),
		kubelet: ca.client(t, "system:node:cp", "system:nodes"), admin: ca.client(t, "kubernetes-admin", "kubeadm:cluster-admins"),
	}
	tests := map[string]struct {
		file   string
		change func(*api.Cluster, *api.AuthInfo, *Kubeconfig)
		at     time.Time
		path   string
		want   []string // problems
	}{
		"the controller manager's": {file: manager}, "the scheduler's": {file: scheduler}, "the kubelet's": {file: kubelet},
		"the administrator's": {file: admin},
		"plain text": {
			file: scheduler, path: "scheduler → apiserver", want: []string{`its server is "http://cp:6443", which isn't https`},
			change: func(c *api.Cluster, _ *api.AuthInfo, _ *Kubeconfig) { c.Server = "http://cp:6443" },
		},
		"nothing is verified": {
			file: manager, path: "controller manager → apiserver", want: []string{"insecure-skip-tls-verify is on: any server is believed"},
			change: func(c *api.Cluster, _ *api.AuthInfo, _ *Kubeconfig) {
				c.InsecureSkipTLSVerify, c.CertificateAuthorityData = true, nil
			},
		},
		"another CA beside the cluster's": {
			file: admin, path: "administrator → apiserver",
			want: []string{"it trusts the CA CN=kubernetes with the SHA-256 fingerprint " + pki.Fingerprint(other.certificate) + ", which isn't the cluster's CA"},
			change: func(c *api.Cluster, _ *api.AuthInfo, _ *Kubeconfig) {
				c.CertificateAuthorityData = pki.EncodeBundle(ca.certificate, other.certificate)
			},
		},
		"no CA": {
			file: kubelet, path: "kubelet → apiserver", want: []string{"its CA can't be read: it holds no certificate"},
			change: func(c *api.Cluster, _ *api.AuthInfo, _ *Kubeconfig) { c.CertificateAuthorityData = nil },
		},
		"the CA is in a file": {
			file: kubelet,
			change: func(c *api.Cluster, _ *api.AuthInfo, k *Kubeconfig) {
				c.CertificateAuthorityData, c.CertificateAuthority, k.CA = nil, "/ca.crt", pki.EncodeBundle(ca.certificate)
			},
		},
		"the client certificate is in a file": {
			file: kubelet,
			change: func(_ *api.Cluster, u *api.AuthInfo, k *Kubeconfig) {
				u.ClientCertificate, u.ClientCertificateData, k.ClientCertificate = "/c.pem", nil, clients[kubelet]
			},
		},
		"no client certificate": {
			file: manager, path: "controller manager → apiserver", want: []string{"it has no client certificate"},
			change: func(_ *api.Cluster, u *api.AuthInfo, _ *Kubeconfig) { u.ClientCertificateData = nil },
		},
		"somebody else's client certificate": {
			file: scheduler, path: "scheduler → apiserver",
			want:   []string{`its client certificate names user "kubernetes-admin" with groups ["kubeadm:cluster-admins"], to be "system:kube-scheduler" with []`},
			change: func(_ *api.Cluster, u *api.AuthInfo, _ *Kubeconfig) { u.ClientCertificateData = clients[admin] },
		},
		"its own name, but a group too much": {
			file: kubelet, path: "kubelet → apiserver",
			want: []string{`its client certificate names user "system:node:cp" with groups ["system:masters" "system:nodes"], to be "system:node:cp" with ["system:nodes"]`},
			change: func(_ *api.Cluster, u *api.AuthInfo, _ *Kubeconfig) {
				u.ClientCertificateData = ca.client(t, "system:node:cp", "system:nodes", "system:masters")
			},
		},
		"another CA's client certificate": {
			file: scheduler, path: "scheduler → apiserver", want: []string{"its client certificate wasn't signed by the cluster's CA"},
			change: func(_ *api.Cluster, u *api.AuthInfo, _ *Kubeconfig) {
				u.ClientCertificateData = other.client(t, "system:kube-scheduler")
			},
		},
		"an expired client certificate": {
			file: admin, at: now.Add(2 * time.Hour), path: "administrator → apiserver", want: []string{"its client certificate expired on 2026-05-01"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := api.NewConfig()
			there, user := &api.Cluster{Server: "https://cp:6443", CertificateAuthorityData: pki.EncodeBundle(ca.certificate)},
				&api.AuthInfo{ClientCertificateData: clients[test.file]}
			file := Kubeconfig{File: test.file}
			if test.change != nil {
				test.change(there, user, &file)
			}
			config.Clusters["c"], config.AuthInfos["u"], config.Contexts["x"] = there, user, &api.Context{Cluster: "c", AuthInfo: "u"}
			config.CurrentContext = "x"
			var err error
			file.Data, err = clientcmd.Write(*config)
			require.NoError(t, err)
			at := now
			if !test.at.IsZero() {
				at = test.at
			}
			var want []Finding
			for _, problem := range test.want {
				want = append(want, Finding{test.path, test.file + " on cp", problem})
			}
			in := Cluster{Node: "cp", CAs: []*x509.Certificate{ca.certificate}, Time: at}
			require.Equal(t, want, Kubeconfigs([]Kubeconfig{file}, in))
		})
	}
}

func TestWhatIsNoKubeconfigIsFoundAndShownInNoText(t *testing.T) {
	for content, problem := range map[string]string{
		"clusters: [secret": "can't be read as a kubeconfig", "": "has no current context with a cluster and a user",
	} {
		found := Kubeconfigs([]Kubeconfig{{File: "/etc/kubernetes/admin.conf", Data: []byte(content)}}, Cluster{Node: "cp"})
		require.Equal(t, []Finding{{"administrator → apiserver", "/etc/kubernetes/admin.conf on cp", problem}}, found)
	}
}
