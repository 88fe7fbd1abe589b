package inpod

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	byDNS         = "by-dns"
	byAddress     = "by-service-address"
	byEnvironment = "by-environment"
	wrongRoot     = "wrong-root"
	dnsName       = "kubernetes.default.svc"
)

// writeKubeconfig gives the pod one context for each way to name the apiserver, each with the mounted token and root certificate,
// and one with a root certificate that isn't the cluster's. kubectl would leave out the token where just --server is given.
func (b *bed) writeKubeconfig(ctx context.Context, s *suite.Subject) error {
	said, err := run(ctx, s, b.app, client, "sh", "-c", `echo "$KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT"`)
	if err != nil {
		return err
	}
	host, port, found := strings.Cut(strings.TrimSpace(said), " ")
	if !found {
		return fmt.Errorf("the pod's environment says of the apiserver only %q", said)
	}
	service, err := s.Client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(service.Spec.Ports) == 0 {
		return fmt.Errorf("the service kubernetes has no port")
	}
	virtual := net.JoinHostPort(service.Spec.ClusterIP, fmt.Sprint(service.Spec.Ports[0].Port))
	other, err := otherRoot()
	if err != nil {
		return err
	}
	trusting := func(address string) *clientcmdapi.Cluster {
		return &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthority: mounted + "/ca.crt"}
	}
	config := clientcmdapi.NewConfig()
	config.AuthInfos["pod"] = &clientcmdapi.AuthInfo{TokenFile: mounted + "/token"}
	config.Clusters = map[string]*clientcmdapi.Cluster{
		byDNS:         trusting(dnsName),
		byAddress:     trusting(virtual),
		byEnvironment: trusting(net.JoinHostPort(host, port)),
		wrongRoot:     {Server: "https://" + dnsName, CertificateAuthorityData: other},
	}
	for name := range config.Clusters {
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "pod"}
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	_, err = run(ctx, s, b.app, client, "sh", "-c", `printf %s "$1" >"$2"`, "sh", string(text), kubeconfig)
	return err
}

// otherRoot is a certificate that signed nothing.
func otherRoot() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "kubecomm-conformance-other-root"}, key)
	if err != nil {
		return nil, err
	}
	return cert.EncodeCertificates(root)
}
