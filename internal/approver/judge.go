// Package approver decides which requests of kubelets for a serving certificate are to be signed. The cluster's signer
// signs whatever was approved, and nothing in Kubernetes approves these: who asks for a name that isn't its own would be
// taken for its bearer.
package approver

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// Nodes are the addresses that each node really has, by the node's name. They come from the container engine: what the API
// says of a node's addresses is what its kubelet says of itself.
type Nodes map[string][]netip.Addr

// Reason says in one word why a request is not approved. It is the reason of the event that tells so.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	InvalidRequest    Reason = "InvalidRequest"
	WrongSubject      Reason = "WrongSubject"
	WrongUser         Reason = "WrongUser"
	WrongGroups       Reason = "WrongGroups"
	WrongUsages       Reason = "WrongUsages"
	WeakKey           Reason = "WeakKey"
	UnknownNode       Reason = "UnknownNode"
	ForbiddenNames    Reason = "ForbiddenNames"
	MissingNames      Reason = "MissingNames"
	ForeignNames      Reason = "ForeignNames"
	ForeignAddresses  Reason = "ForeignAddresses"
	ForeignExtensions Reason = "ForeignExtensions"
)

// Refusal is why a request is not approved.
type Refusal struct {
	Reason Reason
	Err    error
}

func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Err.Error() }

func (r *Refusal) Unwrap() error { return r.Err }

// Concerns reports whether a request is a kubelet's for a serving certificate that nobody has decided yet.
func Concerns(request *certificatesv1.CertificateSigningRequest) bool {
	if request.Spec.SignerName != certificatesv1.KubeletServingSignerName || len(request.Status.Certificate) > 0 {
		return false
	}
	for _, condition := range request.Status.Conditions {
		switch condition.Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			return false
		}
	}
	return true
}

// Judge returns nil if a request is one that a node's kubelet may make, and a *Refusal otherwise. It repeats what the API
// and the signer demand (Kubernetes v1.37.1, pkg/apis/certificates/helpers.go, ValidateKubeletServingCSR), and adds what
// neither of them can know: whose names and addresses are asked for.
func Judge(request *certificatesv1.CertificateSigningRequest, nodes Nodes) error {
	parsed, err := parse(request.Spec.Request)
	if err != nil {
		return &Refusal{InvalidRequest, err}
	}
	asked := claim{request: request, parsed: parsed, nodes: nodes}
	for _, rule := range rules {
		if err := rule.check(asked); err != nil {
			return &Refusal{rule.reason, err}
		}
	}
	return nil
}

// parse reads what the API keeps as it came. Who has signed the request has the key that the certificate is to be of.
func parse(data []byte) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("it is no certificate request in PEM")
	}
	if len(rest) > 0 {
		return nil, errors.New("something follows the certificate request")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate request can't be read: %w", err)
	}
	if err := parsed.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request isn't signed with its own key: %w", err)
	}
	return parsed, nil
}
