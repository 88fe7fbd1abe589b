package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	etcdPort     = 2379
	etcdCertFile = "/etc/kubernetes/pki/apiserver-etcd-client.crt"
	etcdKeyFile  = "/etc/kubernetes/pki/apiserver-etcd-client.key"
)

func etcd() suite.Check {
	return suite.Check{
		ID:       area + "etcd-mutual-tls",
		Sentence: "etcd talks to nobody who shows no client certificate",
		Answers:  []string{"N1", "CIS 2.2"},
		Refusal:  "remote error: tls: certificate required",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return withEtcd(ctx, s, func(node suite.Node) error {
				certificate, err := etcdClient(ctx, s, node)
				if err != nil {
					return err
				}
				_, err = probe.Expect(ctx, e, probe.Request{
					URL: fmt.Sprintf("https://127.0.0.1:%d/health", etcdPort), Dial: s.OnNode(node, etcdPort),
					TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true},
				}, http.StatusOK, "true")
				return err
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return withEtcd(ctx, s, func(node suite.Node) error {
				err := silently(ctx, s, node)
				e.Note("etcd of node %s and a client without a certificate: %v", node.Name, err)
				if err != nil && strings.Contains(err.Error(), "remote error: tls: bad certificate") {
					return nil // how servers say so over TLS 1.2
				}
				return probe.Refused(err, "remote error: tls: certificate required")
			})
		},
	}
}

// withEtcd does something on every control plane that runs etcd.
func withEtcd(ctx context.Context, s *suite.Subject, do func(suite.Node) error) error {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if _, err := s.Component(ctx, node, settings.Etcd); err != nil {
			return err
		}
		if err := do(node); err != nil {
			return fmt.Errorf("etcd of node %s: %w", node.Name, err)
		}
	}
	return nil
}

// etcdClient is what the apiserver of a node shows to etcd.
func etcdClient(ctx context.Context, s *suite.Subject, node suite.Node) (tls.Certificate, error) {
	known, err := s.Inside(node)
	if err != nil {
		return tls.Certificate{}, err
	}
	files, err := known.ReadFiles(ctx, etcdCertFile, etcdKeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(files[etcdCertFile].Data, files[etcdKeyFile].Data)
}

// silentFor is how long a server may take to refuse a client.
const silentFor = 10 * time.Second

// silently shakes hands without a certificate and waits for what etcd says of it. It asks for nothing: a server that closes a
// connection before it has read a request may take its own refusal away with it.
func silently(ctx context.Context, s *suite.Subject, node suite.Node) error {
	conn, err := s.Dial(ctx, node, etcdPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(silentFor)); err != nil {
		return err
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := client.HandshakeContext(ctx); err != nil {
		return err
	}
	// With TLS 1.3 a client is done before the server has seen that there is no certificate.
	if _, err := client.Read(make([]byte, 1)); err != nil {
		return err
	}
	return errors.New("it spoke before it was asked")
}
