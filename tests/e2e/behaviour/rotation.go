package behaviour

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

func rotationPairs() []Pair {
	return []Pair{{
		Setting: "kubelet.rotate_certificates",
		Shows:   "a kubelet replaces the certificate that will soon end, by which it authenticates at the apiserver",
		Values:  Values{Before: off, First: on, Second: on},
		Answers: Answers{Before: "it ends within a week", First: "it is good for longer"},
		ask:     readClientCertificate,
	}}
}

const day = 24 * time.Hour

func readClientCertificate(ctx context.Context, lab *Lab) (string, error) {
	file, err := lab.worker().ReadFile(ctx, clientCertificateFile)
	if err != nil {
		return "", err
	}
	found, err := cert.ParseCertsPEM(file.Data)
	if err != nil {
		return "", err
	}
	if found[0].NotAfter.Before(time.Now().Add(7 * day)) {
		return "it ends within a week", nil
	}
	return "it is good for longer", nil
}

// ageCertificate gives the worker's kubelet a client certificate of which more is over than the nine tenths after which
// a kubelet rotates at the latest (client-go v0.37.1, util/certificate/certificate_manager.go).
func (l *Lab) ageCertificate(ctx context.Context) error {
	authority, signer, err := l.authority(ctx)
	if err != nil {
		return err
	}
	file, err := l.worker().ReadFile(ctx, clientCertificateFile)
	if err != nil {
		return err
	}
	key, err := keyutil.ParsePrivateKeyPEM(file.Data)
	if err != nil {
		return fmt.Errorf("the key in %s: %w", clientCertificateFile, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: pki.NodeUser(l.worker().Name()), Organization: []string{pki.NodeGroup}},
		NotBefore:    time.Now().Add(-300 * day),
		NotAfter:     time.Now().Add(5 * day),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	aged, err := x509.CreateCertificate(rand.Reader, template, authority, key.(crypto.Signer).Public(), signer)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(aged)
	if err != nil {
		return err
	}
	text, err := cert.EncodeCertificates(certificate)
	if err != nil {
		return err
	}
	old, err := cert.ParseCertsPEM(file.Data)
	if err != nil {
		return err
	}
	before, err := cert.EncodeCertificates(old...)
	if err != nil {
		return err
	}
	file.Data = bytes.Replace(file.Data, before, text, 1)
	// What the name leads to, which rotation expects to be a link.
	target, err := l.worker().Run(ctx, cluster.Command{Args: []string{"readlink", "-f", clientCertificateFile}})
	if err != nil {
		return err
	}
	return l.worker().WriteFile(ctx, strings.TrimSpace(string(target)), file)
}

// authority is the cluster's CA.
func (l *Lab) authority(ctx context.Context) (*x509.Certificate, any, error) {
	const certFile, keyFile = "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"
	files, err := l.controlPlane().ReadFiles(ctx, certFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := cert.ParseCertsPEM(files[certFile].Data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(files[keyFile].Data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	return certificates[0], key, nil
}
