package outside

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// impostor puts a server of this machine in the apiserver's place. What it hears is no token of the cluster's.
func impostor() suite.Check {
	return suite.Check{
		ID: area + "unverified-token",
		Sentence: "a REST client that verifies keeps its token from a server that pretends to be the apiserver; one that doesn't " +
			"verify hands it over",
		Answers: []string{"A3"}, Refusal: unknownAuthority,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			heard, answer, err := askImpostor(ctx, s, e, believing)
			switch {
			case err != nil:
				return err
			case !heard:
				return errors.New("a client that doesn't verify was answered, but its token wasn't heard")
			}
			e.Unsafe("without a root certificate, a client gave its token to whoever answered: %s", probe.Describe(answer.Certificate))
			return nil
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			heard, _, err := askImpostor(ctx, s, e, verifying)
			if heard {
				return errors.New("the impostor heard the token of a client that verifies")
			}
			return probe.Refused(err, unknownAuthority)
		},
	}
}

// verifying is a client that verifies as the kubeconfig says, and believing one that takes any server for the right one.
func verifying(config *tls.Config) *tls.Config { return config }

func believing(*tls.Config) *tls.Config { return nil }

func askImpostor(
	ctx context.Context, s *suite.Subject, e *suite.Evidence, client func(*tls.Config) *tls.Config,
) (heard bool, answer probe.Answer, err error) {
	token := rand.Text()
	request, err := verified(s.WithToken(token), version)
	if err != nil {
		return false, answer, err
	}
	certificate, err := pretend(request)
	if err != nil {
		return false, answer, err
	}
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return false, answer, err
	}
	var told atomic.Bool
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // of clients that refuse it
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			told.Store(r.Header.Get("Authorization") == "Bearer "+token)
		}),
	}
	defer server.Close()
	go func() {
		_ = server.Serve(tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	request.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, plain.Addr().String())
	}
	request.TLS = client(request.TLS)
	answer, err = probe.Do(ctx, e, request)
	return told.Load(), answer, err
}

// pretend makes a certificate that is for the name the apiserver is asked by, so that nothing but its CA is wrong with it.
func pretend(request probe.Request) (tls.Certificate, error) {
	at, err := url.Parse(request.URL)
	if err != nil {
		return tls.Certificate{}, err
	}
	name := at.Hostname()
	if request.TLS.ServerName != "" {
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
