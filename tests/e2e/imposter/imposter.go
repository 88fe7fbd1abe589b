// Package imposter makes a kubelet serve a certificate that it should not have, as whoever takes over a node's address
// would.
package imposter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// Where the kubelets of a kubeadm cluster take their serving certificate from.
const (
	CertFile = "/var/lib/kubelet/pki/kubelet.crt"
	KeyFile  = "/var/lib/kubelet/pki/kubelet.key"
)

const serveLimit = time.Minute

// pair is a serving certificate as files.
type pair struct{ certificate, key cluster.File }

// Serve makes the node's kubelet serve the certificate, and returns once it does and no older connection to it is left.
// putBack does the same with the certificate that was there before.
func Serve(
	ctx context.Context, from, node *cluster.Node, certificate *pki.ServingCertificate,
) (putBack func(context.Context) error, err error) {
	before, err := readPair(ctx, node)
	if err != nil {
		return nil, err
	}
	other := before
	other.certificate.Data = pki.EncodeBundle(certificate.Certificate)
	other.key.Data = certificate.Key.Reveal()
	putBack = func(ctx context.Context) error { return serve(ctx, from, node, before) }
	if err := serve(ctx, from, node, other); err != nil {
		return nil, errors.Join(err, putBack(context.WithoutCancel(ctx)))
	}
	return putBack, nil
}

func readPair(ctx context.Context, node *cluster.Node) (pair, error) {
	certificate, err := node.ReadFile(ctx, CertFile)
	if err != nil {
		return pair{}, err
	}
	key, err := node.ReadFile(ctx, KeyFile)
	return pair{certificate, key}, err
}

func serve(ctx context.Context, from, node *cluster.Node, files pair) error {
	certificates, err := pki.ParseBundle(files.certificate.Data)
	if err != nil {
		return fmt.Errorf("%s of node %s: %w", CertFile, node.Name(), err)
	}
	if err := node.WriteFile(ctx, KeyFile, files.key); err != nil {
		return err
	}
	if err := node.WriteFile(ctx, CertFile, files.certificate); err != nil {
		return err
	}
	// The kubelet takes up new files by itself, but its open connections keep the certificate that they began with, and
	// the apiserver fetches logs over the same connection again and again: without a restart, a hardened apiserver was
	// seen to read logs from a worker that served a stranger's certificate to everybody else. Ending the kubelet's
	// process ends every connection to it.
	restart := cluster.Command{Args: []string{"systemctl", "restart", "kubelet"}}
	if _, err := node.Run(ctx, restart); err != nil {
		return err
	}
	what := fmt.Sprintf("the kubelet of node %s to serve certificate %s", node.Name(), pki.Fingerprint(certificates[0]))
	return wait.Until(ctx, what, wait.Options{Limit: serveLimit}, func(ctx context.Context) error {
		served, err := Served(ctx, from, node)
		if err == nil && !served.Equal(certificates[0]) {
			err = fmt.Errorf("it serves %s", pki.Fingerprint(served))
		}
		return err
	})
}

// Served returns the certificate that the node's kubelet shows to a client on another node.
func Served(ctx context.Context, from, node *cluster.Node) (*x509.Certificate, error) {
	raw, err := from.Dial(ctx, net.JoinHostPort(Address(node).String(), strconv.Itoa(kubelet.Port)))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // to see what a client would refuse
	defer conn.Close()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

// Address is the one that the apiserver dials.
func Address(node *cluster.Node) netip.Addr { return node.Addresses()[0] }
