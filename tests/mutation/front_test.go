package mutation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

type handler = http.Handler

const adminName = "kubecomm-mutation"

// newAdmin makes an account that may do everything, and returns a token of it: clients' certificates get through no front.
func (l *lab) newAdmin(ctx context.Context, t *testing.T) string {
	t.Helper()
	meta := metav1.ObjectMeta{Name: adminName}
	accounts, bindings := l.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem), l.client.RbacV1().ClusterRoleBindings()
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { // a cluster that was given stays
		_ = accounts.Delete(context.WithoutCancel(ctx), adminName, metav1.DeleteOptions{})
		_ = bindings.Delete(context.WithoutCancel(ctx), adminName, metav1.DeleteOptions{})
	})
	_, err = bindings.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: adminName}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	made, err := accounts.CreateToken(ctx, adminName, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(24 * 60 * 60))},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return made.Status.Token
}

// apiserverNames are in the certificate of kubeadm's apiservers.
var apiserverNames = []string{
	"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
}

// newFront serves as a load balancer or login proxy before the apiserver does, wrongly, until the test ends. It returns a kubeconfig's
// file.
func (l *lab) newFront(t *testing.T, s sabotage) string {
	t.Helper()
	target, err := url.Parse(l.admin.Host)
	require.NoError(t, err)
	config, err := rest.TLSConfigFor(rest.AnonymousClientConfig(l.admin))
	require.NoError(t, err)
	service, err := l.client.CoreV1().Services(metav1.NamespaceDefault).Get(t.Context(), "kubernetes", metav1.GetOptions{})
	require.NoError(t, err)
	certificate := newCertificate(t, s.names, net.ParseIP(service.Spec.ClusterIP))
	server := httptest.NewUnstartedServer(s.front(l, &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     &http.Transport{TLSClientConfig: config},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // clients leave
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.CloseClientConnections)

	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"front": {
			Server:                   server.URL,
			CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"front": {Token: l.token}},
		Contexts:       map[string]*clientcmdapi.Context{"front": {Cluster: "front", AuthInfo: "front"}},
		CurrentContext: "front",
	}, file))
	return file
}

func newCertificate(t *testing.T, names []string, service net.IP) tls.Certificate {
	t.Helper()
	if len(names) == 0 {
		names = apiserverNames
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "front"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), service},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}
}
