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

// clientFiles are those that an apiserver reads before each new connection to a kubelet, and the CA that kubelets know
// its clients by, which in kubeadm's clusters is the apiserver's own.
type clientFiles struct{ cert, key, ca string }

var errNoClientCertificate = errors.New("it is started without --kubelet-client-certificate and --kubelet-client-key")

// clientFilesOf returns false if the apiserver shows kubelets no certificate.
func clientFilesOf(flags controlplane.Flags) (clientFiles, bool) {
	var files clientFiles
	files.cert, _ = flags.Get("kubelet-client-certificate")
	files.key, _ = flags.Get("kubelet-client-key")
	files.ca, _ = flags.Get("client-ca-file")
	return files, files.cert != "" && files.key != ""
}

// observeClient reads the certificates alone: looking at a cluster moves no key.
func observeClient(ctx context.Context, node Node, running controlplane.Flags, now time.Time) (KubeletClientObservation, error) {
	files, given := clientFilesOf(running)
	if !given {
		return KubeletClientObservation{Problem: errNoClientCertificate}, nil
	}
	found, err := node.ReadFiles(ctx, files.cert, string(baseline)+files.cert, files.ca)
	if err != nil {
		return KubeletClientObservation{}, err
	}
	var client KubeletClientObservation
	var problem error
	// An original that can't be read is nothing to go back to.
	client.Original, _ = firstCertificate(found[string(baseline)+files.cert].Data)
	cas, caProblem := pki.ParseBundle(found[files.ca].Data)
	client.CAs = cas
	if client.Certificate, problem = firstCertificate(found[files.cert].Data); problem != nil {
		client.Problem = fmt.Errorf("%s: %w", files.cert, problem)
		return client, nil
	}
	switch {
	case caProblem != nil:
		client.Problem = fmt.Errorf("the CA in %q: %w", files.ca, caProblem)
	case !pki.SignedBy(client.Certificate, cas):
		client.Problem = fmt.Errorf("%s was signed by %s, which isn't in %s", files.cert, client.Certificate.Issuer, files.ca)
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
