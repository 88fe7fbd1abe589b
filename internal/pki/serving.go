package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// ServingRequest says for whom a kubelet serving certificate is.
type ServingRequest struct {
	Node      string
	Addresses []netip.Addr // that clients may dial; at least one
	Lifetime  time.Duration
	Now       time.Time
}

// ServingCertificate is a kubelet serving certificate with its key.
type ServingCertificate struct {
	Certificate *x509.Certificate
	Above       []*x509.Certificate // those of its issuers, as far as they are served with it
	Key         PrivateKey
}

// Chain is what is served.
func (c ServingCertificate) Chain() []*x509.Certificate {
	return append([]*x509.Certificate{c.Certificate}, c.Above...)
}

// IssueServing makes a key and signs a certificate for it that names the node as the kubernetes.io/kubelet-serving
// signer requires: common name system:node:NAME, organization system:nodes, the node's name and addresses as SANs.
func (ca *CA) IssueServing(request ServingRequest) (*ServingCertificate, error) {
	if len(request.Addresses) == 0 {
		return nil, fmt.Errorf("node %s has no address that a certificate could name", request.Node)
	}
	return ca.issue(x509.Certificate{Subject: nodeSubject(request.Node), DNSNames: []string{request.Node}}, request)
}

// IssueServer does the same for a server of another kind, on a node, that has further names.
func (ca *CA) IssueServer(kind string, names []string, request ServingRequest) (*ServingCertificate, error) {
	return ca.issue(x509.Certificate{
		Subject: pkix.Name{CommonName: kind}, DNSNames: append([]string{request.Node}, names...),
	}, request)
}

func (ca *CA) issue(template x509.Certificate, request ServingRequest) (*ServingCertificate, error) {
	signer, key, err := newKey()
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = newSerial(); err != nil {
		return nil, err
	}
	template.NotBefore = request.Now.Add(-backdate).UTC().Truncate(time.Second)
	template.NotAfter = template.NotBefore.Add(request.Lifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, address := range request.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	certificate, err := sign(&template, ca.Certificate, &signer.PublicKey, ca.signer)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of node %s: %w", request.Node, err)
	}
	return &ServingCertificate{Certificate: certificate, Above: ca.above, Key: key}, nil
}

// NodeUser is whom a node's kubelet is to the API, and NodeGroup the group of them all.
func NodeUser(node string) string { return "system:node:" + node }

// NodeGroup is the group that every node's kubelet is in.
const NodeGroup = "system:nodes"

func nodeSubject(node string) pkix.Name {
	return pkix.Name{CommonName: NodeUser(node), Organization: []string{NodeGroup}}
}

// NewServingRequest makes a key and a request for what a kubelet would ask for, that has these addresses.
func NewServingRequest(node string, addresses []netip.Addr) (*SigningRequest, error) {
	template := &x509.CertificateRequest{Subject: nodeSubject(node), DNSNames: []string{node}}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	return newSigningRequest(template)
}

// VerifyServing judges a certificate chain that a kubelet served, leaf first, as the apiserver would: a chain to one of
// the roots, for server authentication, that names the dialled address. The error is the one that the TLS library
// would give.
func VerifyServing(chain, roots []*x509.Certificate, address netip.Addr, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("no certificate was served")
	}
	options := x509.VerifyOptions{
		DNSName:       address.String(),
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	for _, intermediate := range chain[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	_, err := chain[0].Verify(options)
	return err
}

// Lifetime is the time between a certificate's first and last moment.
func Lifetime(certificate *x509.Certificate) time.Duration {
	return certificate.NotAfter.Sub(certificate.NotBefore)
}

// RenewAfter is when two thirds of a certificate's life are over: from then on it should be renewed.
func RenewAfter(certificate *x509.Certificate) time.Time {
	return certificate.NotBefore.Add(Lifetime(certificate) / 3 * 2)
}

// Names reports whether the certificate names all the addresses, and nothing but them and the node's name.
func Names(certificate *x509.Certificate, node string, addresses []netip.Addr) bool {
	if len(certificate.DNSNames) != 1 || certificate.DNSNames[0] != node ||
		len(certificate.IPAddresses) != len(addresses) {
		return false
	}
	named := make(map[netip.Addr]bool, len(addresses))
	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			named[address.Unmap()] = true
		}
	}
	for _, address := range addresses {
		if !named[address] {
			return false
		}
	}
	return true
}

// NamesOnly reports whether the certificate names nothing but the node's name and some of the addresses: a kubelet asks
// for those that it knows of, which need not be all.
func NamesOnly(certificate *x509.Certificate, node string, addresses []netip.Addr) bool {
	for _, name := range certificate.DNSNames {
		if name != node {
			return false
		}
	}
	for _, ip := range certificate.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); !ok || !slices.Contains(addresses, address.Unmap()) {
			return false
		}
	}
	return true
}
