package provider_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const (
	clientCertFile = "/etc/kubernetes/pki/apiserver-kubelet-client.crt"
	clientKeyFile  = "/etc/kubernetes/pki/apiserver-kubelet-client.key"

	kubeadmUser    = "kube-apiserver-kubelet-client"
	kubeadmBinding = "kubeadm:apiserver-kubelet-client"
	customUser     = "kubecomm:apiserver-kubelet-client"
	adminRole      = "system:kubelet-api-admin"
)

// kubectl runs a command on the control plane as the cluster's administrator, and returns what it said, also if it failed.
func (l hardeningLab) kubectl(args string) string {
	return l.output(0, "kubectl --kubeconfig /etc/kubernetes/admin.conf "+args+" 2>&1 || :")
}

func (l hardeningLab) output(node int, script string) string {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	output, err := opened.Nodes()[node].Run(l.t.Context(), cluster.Command{Args: []string{"sh", "-ec", script}})
	require.NoError(l.t, err)
	return string(output)
}

// beforeNarrowing makes the cluster one that was made by kubeadm before 1.36: its apiserver is a member of a group at
// kubelets that may do anything, and nothing is bound to it by its name.
func (l hardeningLab) beforeNarrowing() string {
	l.issueClient("kubeadm:cluster-admins")
	l.kubectl("delete clusterrolebinding " + kubeadmBinding)
	return l.clientState()
}

// clientState is what was there before kubecomm and must be there after it.
func (l hardeningLab) clientState() string {
	return l.output(0, `for file in `+clientCertFile+` `+clientKeyFile+`; do stat --format '%n %a %U %G %Y' "$file"; sha256sum <"$file"; done
kubectl --kubeconfig /etc/kubernetes/admin.conf get clusterrolebindings,csr --output name | grep apiserver-kubelet-client || :`)
}

func (l hardeningLab) checkClientState(then *string) func(*terraform.State) error {
	return func(*terraform.State) error {
		if now := l.clientState(); now != *then {
			return fmt.Errorf("before, there was\n%s\nand now there is\n%s", *then, now)
		}
		return nil
	}
}

// issueClient has the cluster's CA sign a certificate for the apiserver by hand, and puts it in place.
func (l hardeningLab) issueClient(groups ...string) {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	node := opened.Nodes()[0]
	files, err := node.ReadFiles(l.t.Context(), "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key")
	require.NoError(l.t, err)
	block, _ := pem.Decode(files["/etc/kubernetes/pki/ca.crt"].Data)
	ca, err := x509.ParseCertificate(block.Bytes)
	require.NoError(l.t, err)
	block, _ = pem.Decode(files["/etc/kubernetes/pki/ca.key"].Data)
	signer, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	require.NoError(l.t, err)
	certificate, key := sign(l.t, ca, signer, pkix.Name{CommonName: kubeadmUser, Organization: groups})
	require.NoError(l.t, node.WriteFile(l.t.Context(), clientKeyFile, cluster.File{Data: key, Mode: 0o600}))
	require.NoError(l.t, node.WriteFile(l.t.Context(), clientCertFile, cluster.File{Data: certificate, Mode: 0o644}))
}

func sign(t require.TestingT, ca *x509.Certificate, signer *rsa.PrivateKey, subject pkix.Name) (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, &private.PublicKey, signer)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// handshakeScript stands in for the worker's kubelet, with the kubelet's own certificate, and prints whom the first
// client's certificate names that it is shown.
const handshakeScript = `cd "$(mktemp -d)"
mkfifo open
openssl s_server -accept 11250 -Verify 2 -CAfile /etc/kubernetes/pki/ca.crt -nameopt RFC2253 \
  -cert /var/lib/kubelet/pki/kubelet.crt -key /var/lib/kubelet/pki/kubelet.key >shown 2>&1 <>open &
server=$!
trap 'nft delete table ip stand-in; kill $server 2>/dev/null || :' EXIT
nft add table ip stand-in
nft 'add chain ip stand-in in { type nat hook prerouting priority -150; }'
nft add rule ip stand-in in tcp dport 10250 redirect to :11250
for i in $(seq 100); do ! sed -n 's/^depth=0 //p' shown | grep . || exit 0; sleep 0.2; done
cat shown >&2
exit 1`

// proxyPod is one on the worker, by its kind and name.
func (l hardeningLab) proxyPod() string {
	return strings.TrimSpace(l.kubectl("--namespace kube-system get pods --selector k8s-app=kube-proxy " +
		"--field-selector spec.nodeName=" + l.name + "-worker --output name"))
}

// handshake has the apiserver open a connection to a stand-in for the worker's kubelet, by running a command there, and
// returns whom its certificate names.
func (l hardeningLab) handshake() string {
	pod := l.proxyPod()
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	var shown []byte
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() (err error) {
		defer close(done)
		shown, err = opened.Nodes()[1].Run(ctx, cluster.Command{Args: []string{"sh", "-ec", handshakeScript}})
		return err
	})
	group.Go(func() error {
		script := "timeout 3 kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system exec " + pod + " -- true || :"
		for {
			select {
			case <-done:
				return nil
			default:
				if _, err := opened.Nodes()[0].Run(ctx, cluster.Command{Args: []string{"sh", "-c", script}}); err != nil {
					return err
				}
			}
		}
	})
	require.NoError(l.t, group.Wait())
	subject, _, _ := strings.Cut(string(shown), "\n")
	return subject
}

// goodFor sees what the apiserver's certificate is good for: a command in a pod, and to whoever has stolen it, what
// the API answers him who asks for all secrets.
func (l hardeningLab) goodFor(secrets int) {
	l.t.Helper()
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	files, err := opened.Nodes()[0].ReadFiles(l.t.Context(), clientCertFile, clientKeyFile)
	require.NoError(l.t, err)
	l.answers("/api/v1/secrets", &rest.TLSClientConfig{
		CertData: files[clientCertFile].Data, KeyData: files[clientKeyFile].Data,
	}, secrets)
	require.Contains(l.t, l.kubectl("--namespace kube-system exec "+l.proxyPod()+" -- iptables --version"), "iptables v")
}

// failLater applies an identity together with what only fails later on.
func (l hardeningLab) failLater() {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	want := settings.Of(map[string]settings.Value{settings.NameKubeletClient: {string(settings.KubeletAPIAdmin)}})
	want.SetFlag(settings.APIServer, "no-such-flag", "1")
	_, err = apply.Apply(l.t.Context(), apply.On(opened), apply.Options{Settings: want, Now: time.Now})
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(l.t, ok, "%v", err)
	require.Equal(l.t, apply.ReplaceAPIServer, failure.Step.Kind)
	require.NoError(l.t, failure.UndoErr)
	var undone []apply.Kind
	for _, step := range failure.Undone {
		undone = append(undone, step.Kind)
	}
	require.Equal(l.t, []apply.Kind{apply.ReplaceAPIServer, apply.IssueKubeletClient, apply.BindKubeletClient}, undone)
}
