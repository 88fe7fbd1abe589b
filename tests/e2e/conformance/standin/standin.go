// Package standin puts servers of this machine in the places of others, for clients to tell apart.
package standin

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
)

// Server has another's place. Nothing is wrong with its certificate but its CA.
type Server struct {
	server  *http.Server
	address string
}

// Serve serves in the place of the server that a request is for, until it is closed.
func Serve(ctx context.Context, request probe.Request, handler http.Handler) (*Server, error) {
	certificate, err := pretend(request)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{address: listener.Addr().String(), server: &http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // of clients that refuse it
		Handler:           handler,
	}}
	go func() {
		_ = s.server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	return s, nil
}

// Dial connects to the server, whatever the address is.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, s.address)
}

// Close ends it.
func (s *Server) Close() { _ = s.server.Close() }

// pretend makes a certificate that is for the name that the server is asked by.
func pretend(request probe.Request) (tls.Certificate, error) {
	at, err := url.Parse(request.URL)
	if err != nil {
		return tls.Certificate{}, err
	}
	name := at.Hostname()
	if request.TLS != nil && request.TLS.ServerName != "" {
		name = request.TLS.ServerName
	}
	address, err := netip.ParseAddr(name)
	if err != nil {
		address = netip.MustParseAddr("127.0.0.1") // a certificate must be for one
	} else {
		name = "impostor"
	}
	now := time.Now()
	ca, err := pki.NewCA("impostor", now)
	if err != nil {
		return tls.Certificate{}, err
	}
	made, err := ca.IssueServing(pki.ServingRequest{
		Node: name, Addresses: []netip.Addr{address}, Lifetime: time.Hour, Now: now,
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(pki.EncodeBundle(made.Certificate), made.Key.Reveal())
}
