package approver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// The names by which Kubernetes knows nodes (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/authentication/user/user.go, pkg/apis/certificates/helpers.go).
const (
	nodeGroup      = "system:nodes"
	nodeUserPrefix = "system:node:"
)

// leastRSA is the length of the shortest RSA key, in bits, that TLS clients in Go take.
const leastRSA = 2048

// claim is what is asked for, by whom, and what is known of the nodes.
type claim struct {
	request *certificatesv1.CertificateSigningRequest
	parsed  *x509.CertificateRequest
	nodes   Nodes
}

// node is the name of the node that the certificate would be of.
func (c claim) node() string { return strings.TrimPrefix(c.parsed.Subject.CommonName, nodeUserPrefix) }

// rules are what must hold, each under the name of what it finds.
var rules = []struct {
	reason Reason
	check  func(claim) error
}{
	{WrongSubject, checkSubject},
	{WrongUser, checkUser},
	{WrongGroups, checkGroups},
	{WrongUsages, checkUsages},
	{WeakKey, checkKey},
	{UnknownNode, checkNode},
	{ForbiddenNames, checkKindsOfNames},
	{MissingNames, checkAnyName},
	{ForeignNames, checkNames},
	{ForeignAddresses, checkAddresses},
	{ForeignExtensions, checkExtensions},
}

// checkSubject lets nothing beside the two parts in that every request of a kubelet has.
func checkSubject(c claim) error {
	subject := c.parsed.Subject
	switch {
	case !slices.Equal(subject.Organization, []string{nodeGroup}):
		return fmt.Errorf("its subject is %s, whose organization is not %s alone", subject, nodeGroup)
	case !strings.HasPrefix(subject.CommonName, nodeUserPrefix) || subject.CommonName == nodeUserPrefix:
		return fmt.Errorf("its subject is %s, whose common name is no node's, %sNAME", subject, nodeUserPrefix)
	case len(subject.Names) != 2:
		return fmt.Errorf("its subject is %s, which has more than a common name and an organization", subject)
	}
	return nil
}

// checkUser keeps one node from asking in the name of another.
func checkUser(c claim) error {
	if user := c.request.Spec.Username; user != c.parsed.Subject.CommonName {
		return fmt.Errorf("%q asked for a certificate of %q", user, c.parsed.Subject.CommonName)
	}
	return nil
}

func checkGroups(c claim) error {
	if !slices.Contains(c.request.Spec.Groups, nodeGroup) {
		return fmt.Errorf("%q, who asked for it, is not in group %s", c.request.Spec.Username, nodeGroup)
	}
	return nil
}

// checkUsages lets RSA keys have one more usage than others need.
func checkUsages(c claim) error {
	usages := slices.Clone(c.request.Spec.Usages)
	slices.Sort(usages)
	usages = slices.Compact(usages)
	needed := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}
	withEncipherment := []certificatesv1.KeyUsage{needed[0], certificatesv1.UsageKeyEncipherment, needed[1]}
	if !slices.Equal(usages, needed) && !slices.Equal(usages, withEncipherment) {
		return fmt.Errorf("its usages are %q, and not %q, at most with %q besides",
			c.request.Spec.Usages, needed, certificatesv1.UsageKeyEncipherment)
	}
	return nil
}

func checkKey(c claim) error {
	switch key := c.parsed.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("its key is on a curve of %d bits, and 256 are the least", bits)
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < leastRSA {
			return fmt.Errorf("its key is an RSA key of %d bits, and %d are the least", bits, leastRSA)
		}
	case ed25519.PublicKey:
	default:
		return errors.New("its key is neither ECDSA nor RSA nor Ed25519")
	}
	return nil
}

// checkNode tells a user what to do: a node that joined since the last apply isn't known yet.
func checkNode(c claim) error {
	if _, known := c.nodes[c.node()]; !known {
		return fmt.Errorf("kubecomm doesn't know the real addresses of node %s; if it joined since the last apply of "+
			"kubecomm_hardening, apply again", c.node())
	}
	return nil
}

func checkKindsOfNames(c claim) error {
	switch {
	case len(c.parsed.EmailAddresses) > 0:
		return fmt.Errorf("it asks for e-mail addresses: %q", c.parsed.EmailAddresses)
	case len(c.parsed.URIs) > 0:
		return fmt.Errorf("it asks for URIs: %v", c.parsed.URIs)
	}
	return nil
}

func checkAnyName(c claim) error {
	if len(c.parsed.DNSNames)+len(c.parsed.IPAddresses) == 0 {
		return errors.New("it asks for neither a DNS name nor an IP address")
	}
	return nil
}

// checkNames allows the node's own name alone: with another, such as the API's, the certificate would make its bearer
// somebody else.
func checkNames(c claim) error {
	for _, name := range c.parsed.DNSNames {
		if name != c.node() {
			return fmt.Errorf("it asks for the DNS name %q, which is not the name of node %s", name, c.node())
		}
	}
	return nil
}

func checkAddresses(c claim) error {
	own := c.nodes[c.node()]
	for _, ip := range c.parsed.IPAddresses {
		address, ok := netip.AddrFromSlice(ip)
		if !ok || !slices.Contains(own, address.Unmap()) {
			return fmt.Errorf("it asks for the address %s, which node %s doesn't have: it has %s", ip, c.node(), own)
		}
	}
	return nil
}

// subjectAltName is the extension that holds names and addresses (RFC 5280, 4.2.1.6).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// checkExtensions refuses what the signer would leave out anyway: no kubelet asks for it.
func checkExtensions(c claim) error {
	for _, extension := range c.parsed.Extensions {
		if !extension.Id.Equal(subjectAltName) {
			return fmt.Errorf("it asks for the extension %s, which no kubelet needs", extension.Id)
		}
	}
	return nil
}
