package imposter

import (
	"context"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Where control planes keep the CA for kubelet serving certificates.
const (
	CACertFile = "/etc/kubernetes/pki/kubecomm/kubelet-serving-ca.crt"
	CAKeyFile  = "/etc/kubernetes/pki/kubecomm/kubelet-serving-ca.key"
)

const lifetime = 24 * time.Hour

// Stranger returns a certificate with the node's own names and addresses. Only its CA is one that nobody here knows.
func Stranger(node *cluster.Node) (*pki.ServingCertificate, error) {
	ca, err := pki.NewCA("stranger", time.Now())
	if err != nil {
		return nil, err
	}
	return issue(ca, node)
}

// Neighbour returns a certificate of the cluster's own CA for kubelets, for the named node.
func Neighbour(ctx context.Context, controlPlane, named *cluster.Node) (*pki.ServingCertificate, error) {
	certificate, err := controlPlane.ReadFile(ctx, CACertFile)
	if err != nil {
		return nil, err
	}
	key, err := controlPlane.ReadFile(ctx, CAKeyFile)
	if err != nil {
		return nil, err
	}
	ca, err := pki.ParseCA(certificate.Data, key.Data)
	if err != nil {
		return nil, err
	}
	return issue(ca, named)
}

func issue(ca *pki.CA, node *cluster.Node) (*pki.ServingCertificate, error) {
	return ca.IssueServing(pki.ServingRequest{
		Node: node.Name(), Addresses: node.Addresses(), Lifetime: lifetime, Now: time.Now(),
	})
}
