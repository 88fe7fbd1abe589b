package apply

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// observeAdmin returns nil where the administrator authenticates in another way, or can't be found out: whatever needs the
// administrator will say so.
func observeAdmin(ctx context.Context, target Target) *x509.Certificate {
	admin, err := target.Admin(ctx)
	if err != nil {
		return nil
	}
	admin = rest.CopyConfig(admin)
	if rest.LoadTLSFiles(admin) != nil {
		return nil
	}
	certificate, err := firstCertificate(admin.CertData)
	if err != nil {
		return nil
	}
	return certificate
}

// ClientCAError says that the CAs that kubelets are to know their clients by lack some that the cluster can't do without.
type ClientCAError struct {
	Cluster string
	Node    string   // whose own CAs they are; empty if they are for all
	Lacks   []string // each with whose certificate it has signed
}

func (e *ClientCAError) Error() string {
	on := "on every node"
	if e.Node != "" {
		on = "on node " + e.Node
	}
	return fmt.Sprintf("kubelets of cluster %s %s would refuse clients that the cluster can't do without: %s",
		e.Cluster, on, strings.Join(e.Lacks, "; "))
}

// CheckClientCAs returns what is wrong with declared CAs for kubelets: one for all nodes, and one for each that has its own.
// Kubelets must let apiservers in, with the certificates that they have and with those that a restore puts back, and the
// administrator, as which kubecomm asks them.
func CheckClientCAs(name string, observed Observation, want settings.Settings) []*ClientCAError {
	var problems []*ClientCAError
	check := func(node string, documents map[string]settings.Document) {
		document, declared := documents[settings.KubeletClientCAField]
		if !declared {
			return
		}
		if lacks := observed.lacking(document); len(lacks) > 0 {
			problems = append(problems, &ClientCAError{Cluster: name, Node: node, Lacks: lacks})
		}
	}
	if slices.ContainsFunc(observed.Nodes, func(node NodeObservation) bool {
		_, own := want.NodeKubeletDocuments[node.Name][settings.KubeletClientCAField]
		return !own
	}) {
		check("", want.KubeletDocuments)
	}
	for _, node := range observed.Nodes {
		check(node.Name, want.NodeKubeletDocuments[node.Name])
	}
	return problems
}

// lacking says of which needed certificates a file of CAs doesn't have the signer.
func (o Observation) lacking(document settings.Document) []string {
	var lacks []string
	need := func(certificate *x509.Certificate, whose string) {
		if certificate != nil && !accepts(document, certificate) {
			lacks = append(lacks, fmt.Sprintf("%s isn't among their CAs, which signed %s", certificate.Issuer, whose))
		}
	}
	need(o.Admin, "the certificate of the cluster's administrator, as whom kubecomm asks kubelets")
	for _, node := range o.controlPlanes() {
		client := node.APIServer.Client
		need(client.Certificate, "the certificate of the apiserver on node "+node.Name)
		if client.Original != nil && client.Certificate != nil && !client.Original.Equal(client.Certificate) {
			need(client.Original, "the certificate that the apiserver on node "+node.Name+" gets back by a destroy")
		}
	}
	return lacks
}

// accepts reports whether a file of CAs, which was checked to be one, has that which signed a certificate.
func accepts(document settings.Document, certificate *x509.Certificate) bool {
	cas, err := pki.ParseBundle(document.Data)
	return err == nil && pki.SignedBy(certificate, cas)
}
