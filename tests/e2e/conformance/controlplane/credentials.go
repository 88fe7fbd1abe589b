package controlplane

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func rotation() suite.Check {
	return suite.Check{
		ID:       area + "kubelet-client-certificates-rotate",
		Sentence: "kubelets replace the certificates by which they authenticate before these end",
		Answers:  []string{"N4", "CIS 4.2.10"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			var problems []error
			for _, node := range s.Nodes {
				value, err := s.KubeletField(ctx, node, "rotateCertificates")
				if err != nil {
					return err
				}
				e.Note("node %s: rotateCertificates is %v", node.Name, value)
				if value != true {
					problems = append(problems, fmt.Errorf("the kubelet of node %s runs with rotateCertificates %v", node.Name, value))
				}
			}
			return errors.Join(problems...)
		},
	}
}

// Where kubeadm has a kubelet's client certificate and the cluster's CA.
const (
	kubeletClientFile = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	clusterCAFile     = "/etc/kubernetes/pki/ca.crt"
)

func clientCertificates() suite.Check {
	return suite.Check{
		ID:       area + "kubelet-client-certificates",
		Sentence: "every kubelet has a client certificate that names its node, is signed by the cluster's CA and valid now",
		Answers:  []string{"N4"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			var problems []error
			for _, node := range s.Nodes {
				known, err := s.Inside(node)
				if err != nil {
					return err
				}
				files, err := known.ReadFiles(ctx, kubeletClientFile, clusterCAFile)
				if err != nil {
					return err
				}
				certificates, err := certificatesIn(files[kubeletClientFile].Data)
				if err == nil {
					e.Note("node %s: %s", node.Name, probe.Describe(certificates[0]))
					err = checkClient(certificates, files[clusterCAFile].Data, node.Name, time.Now())
				}
				if err != nil {
					problems = append(problems, fmt.Errorf("%s of node %s: %w", kubeletClientFile, node.Name, err))
				}
			}
			return errors.Join(problems...)
		},
	}
}

// certificatesIn are those of a file that also holds a key, which is passed over.
func certificatesIn(data []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return found, nil
}

// checkClient returns why a chain doesn't make its owner a node's kubelet.
func checkClient(chain []*x509.Certificate, ca []byte, node string, now time.Time) error {
	subject := chain[0].Subject
	if subject.CommonName != pki.NodeUser(node) || !slices.Equal(subject.Organization, []string{pki.NodeGroup}) {
		return fmt.Errorf("it is of %s, not of %s in %s", subject, pki.NodeUser(node), pki.NodeGroup)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate", clusterCAFile)
	}
	for _, above := range chain[1:] {
		intermediates.AddCert(above)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}
