package faults

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

const hour = time.Hour

type preparation = func(ctx context.Context, t *testing.T, s *suite)

// prepare writes a file by hand, as users do.
func prepare(content string) preparation {
	return func(ctx context.Context, t *testing.T, s *suite) {
		t.Helper()
		s.put(ctx, t, preparedFile, []byte(content))
	}
}

func (s *suite) put(ctx context.Context, t *testing.T, path string, content []byte) {
	t.Helper()
	s.putOn(ctx, t, s.controlPlane(), path, content)
}

func (s *suite) putOn(ctx context.Context, t *testing.T, node *cluster.Node, path string, content []byte) {
	t.Helper()
	require.NoError(t, node.WriteFile(ctx, path, cluster.File{Data: content, Mode: 0o644}))
}

func (s *suite) removePrepared(t *testing.T) {
	t.Helper()
	s.removePreparedFrom(t, s.controlPlane())
}

func (s *suite) removePreparedFrom(t *testing.T, node *cluster.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Minute)
	defer cancel()
	for _, path := range []string{preparedFolder, unmountedFile} {
		assert.NoError(t, node.Remove(ctx, path))
	}
}

func copyUnmounted(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	file, err := s.controlPlane().ReadFile(ctx, "/etc/kubernetes/pki/ca.crt")
	require.NoError(t, err)
	s.put(ctx, t, unmountedFile, file.Data)
}

func strangerCA(ctx context.Context, t *testing.T, s *suite) {
	t.Helper()
	ca, err := pki.NewCA("stranger", time.Now())
	require.NoError(t, err)
	s.put(ctx, t, preparedFile, pki.EncodeBundle(ca.Certificate))
}

// reissueClusterCA makes another certificate for the key of the cluster's CA, that ends so much later, or earlier, than
// now.
func reissueClusterCA(ends time.Duration) preparation {
	return reissue("/etc/kubernetes/pki/ca", clusterCACopy, ends)
}

// reissueKubeletCA does the same with the CA for kubelet serving certificates.
func reissueKubeletCA(ends time.Duration) preparation {
	return reissue("/etc/kubernetes/pki/kubecomm/kubelet-serving-ca", kubeletCACopy, ends)
}

func reissue(ca, path string, ends time.Duration) preparation {
	return func(ctx context.Context, t *testing.T, s *suite) {
		t.Helper()
		certificate, err := s.controlPlane().ReadFile(ctx, ca+".crt")
		require.NoError(t, err)
		key, err := s.controlPlane().ReadFile(ctx, ca+".key")
		require.NoError(t, err)
		pair, err := tls.X509KeyPair(certificate.Data, key.Data)
		require.NoError(t, err)
		template := *pair.Leaf
		template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(ends)
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, pair.Leaf.PublicKey, pair.PrivateKey)
		require.NoError(t, err)
		reissued, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		s.put(ctx, t, path, pki.EncodeBundle(reissued))
	}
}
