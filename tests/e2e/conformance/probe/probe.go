// Package probe asks servers and keeps what it saw as evidence: the request, the answer, and whose certificate was shown.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// Request is what is asked.
type Request struct {
	Method string // empty for GET
	URL    string
	Token  string // for none, empty
	Header http.Header
	Body   string

	// TLS is how the server is verified and the client shows who it is. Nil takes any server for the right one: whom it is that
	// answers is then no part of the question.
	TLS *tls.Config
	// Dial connects to the server; nil for the URL's own address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Answer is what a server said.
type Answer struct {
	Status      int
	Header      http.Header
	Body        string
	Certificate *x509.Certificate // the server's; nil over plain HTTP
}

func (a Answer) String() string {
	return fmt.Sprintf("%d %s: %s", a.Status, http.StatusText(a.Status), short(a.Body))
}

// longest is how much of an answer is read, in bytes: all that a server of Kubernetes' says, lest it log that its client left.
const longest = 64 << 20

// Do asks. It follows no redirects and uses each connection once.
func Do(ctx context.Context, evidence *suite.Evidence, r Request) (Answer, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	maps.Copy(request.Header, r.Header)
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	config := &tls.Config{InsecureSkipVerify: true}
	if r.TLS != nil {
		config = r.TLS.Clone()
	}
	transport := &http.Transport{DialContext: r.Dial, TLSClientConfig: config, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		evidence.Note("%s %s: %v", r.Method, r.URL, err)
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longest))
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		answer.Certificate = response.TLS.PeerCertificates[0]
	}
	evidence.Note("%s %s → %s", r.Method, r.URL, answer)
	return answer, err
}

// Expect asks, and demands a status, and of the answer's text a part.
func Expect(ctx context.Context, evidence *suite.Evidence, r Request, status int, part string) (Answer, error) {
	answer, err := Do(ctx, evidence, r)
	if err == nil && (answer.Status != status || !strings.Contains(answer.Body, part)) {
		err = fmt.Errorf("%s answered %s; it should have answered %d %q", r.URL, answer, status, part)
	}
	return answer, err
}

// newLimit is how long what is new in a cluster may take to get around: a token, a role, a service's endpoints.
const newLimit = 20 * time.Second

// Await asks until the answer is 200 and has a part.
func Await(ctx context.Context, evidence *suite.Evidence, r Request, part string) (answer Answer, err error) {
	err = wait.Until(ctx, r.URL+" to be answered", wait.Options{Limit: newLimit}, func(ctx context.Context) error {
		var err error
		answer, err = Expect(ctx, evidence, r, http.StatusOK, part)
		return err
	})
	return answer, err
}

// API is a request to the apiserver as a client asks it, by a path.
func API(config *rest.Config, path string) (Request, error) {
	client, err := rest.TLSConfigFor(config)
	if err != nil {
		return Request{}, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return Request{}, err
	}
	return Request{URL: strings.TrimRight(base.String(), "/") + path, Token: config.BearerToken, TLS: client}, nil
}

// Refused demands that something failed, and that its error says why.
func Refused(err error, why string) error {
	switch {
	case err == nil:
		return fmt.Errorf("nothing refused it; it should have failed with %q", why)
	case !strings.Contains(err.Error(), why):
		return fmt.Errorf("it was refused, but not with %q: %w", why, err)
	}
	return nil
}

// Describe says whose a certificate is, who signed it, for which names and until when.
func Describe(certificate *x509.Certificate) string {
	names := append([]string(nil), certificate.DNSNames...)
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	return fmt.Sprintf("certificate of %s, by %s, for %s, until %s", certificate.Subject, certificate.Issuer,
		strings.Join(names, ", "), certificate.NotAfter.UTC().Format("2006-01-02 15:04"))
}

func short(text string) string {
	const limit = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return text
}
