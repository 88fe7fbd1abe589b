package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// clientFiles are those that an apiserver reads before each new connection to a kubelet.
type clientFiles struct{ cert, key string }

// clusterCAFile is the CA that kubelets know their clients by in kubeadm's clusters (Kubernetes v1.37.1,
// cmd/kubeadm/app/componentconfigs/kubelet.go). The apiserver's own clients may be of others besides.
const clusterCAFile = "/etc/kubernetes/pki/ca.crt"

var errNoClientCertificate = errors.New("it is started without --kubelet-client-certificate and --kubelet-client-key")

// clientFilesOf returns false if the apiserver shows kubelets no certificate.
func clientFilesOf(flags controlplane.Flags) (clientFiles, bool) {
	var files clientFiles
	files.cert, _ = flags.Get("kubelet-client-certificate")
	files.key, _ = flags.Get("kubelet-client-key")
	return files, files.cert != "" && files.key != ""
}

// observeClient reads the certificates alone: looking at a cluster moves no key.
func observeClient(ctx context.Context, node Node, running controlplane.Flags, now time.Time) (KubeletClientObservation, error) {
	files, given := clientFilesOf(running)
	if !given {
		return KubeletClientObservation{Problem: errNoClientCertificate}, nil
	}
	found, err := node.ReadFiles(ctx, files.cert, string(baseline)+files.cert, clusterCAFile)
	if err != nil {
		return KubeletClientObservation{}, err
	}
	var client KubeletClientObservation
	var problem error
	// An original that can't be read is nothing to go back to.
	client.Original, _ = firstCertificate(found[string(baseline)+files.cert].Data)
	cas, caProblem := pki.ParseBundle(found[clusterCAFile].Data)
	client.CAs = cas
	if client.Certificate, problem = firstCertificate(found[files.cert].Data); problem != nil {
		client.Problem = fmt.Errorf("%s: %w", files.cert, problem)
		return client, nil
	}
	switch {
	case caProblem != nil:
		client.Problem = fmt.Errorf("the CA in %s: %w", clusterCAFile, caProblem)
	case !pki.SignedBy(client.Certificate, cas):
		client.Problem = fmt.Errorf("%s was signed by %s, which isn't in %s", files.cert, client.Certificate.Issuer, clusterCAFile)
	case now.After(client.Certificate.NotAfter):
		client.Problem = fmt.Errorf("%s expired on %s", files.cert, client.Certificate.NotAfter.Format(time.DateOnly))
	}
	return client, nil
}

func firstCertificate(data []byte) (*x509.Certificate, error) {
	certificates, err := pki.ParseBundle(data)
	if err != nil {
		return nil, err
	}
	return certificates[0], nil
}
