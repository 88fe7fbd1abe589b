package proxypaths

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// passesOn is what of a request and of its answer goes through.
func passesOn() []suite.Check {
	return []suite.Check{
		{
			ID: area + "path-and-query", Sentence: "path and query arrive", Answers: []string{"A9"},
			Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
				word := rand.Text()
				return reaches(ctx, s, e, path(s, "services", plain, "echo?msg="+word), word)
			},
		},
		{ID: area + "body", Sentence: "a request's body arrives", Answers: []string{"A7", "A9"}, Try: body},
		{
			ID:       area + "credentials-stripped",
			Sentence: "a client's credentials, and whom it says that it is, don't arrive; its cookies do", Answers: []string{"C8", "A12"},
			Try: stripped,
		},
		{
			ID: area + "redirects", Sentence: "the proxy follows no redirects: it passes them on, with a location inside of the proxy",
			Answers: []string{"A11"}, Try: redirects,
		},
	}
}

func body(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	request, err := probe.API(s.Admin, path(s, "pods", server, "echo"))
	if err != nil {
		return err
	}
	word := rand.Text()
	request.Method, request.Body = http.MethodPost, "msg="+word
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	_, err = probe.Expect(ctx, e, request, 200, word)
	return err
}

// stripped sends a cookie and a header of its own too, by which it is known that headers arrive at all.
func stripped(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	account, err := s.NewAccount(ctx, suite.Reads("pods/proxy"))
	if err != nil {
		return err
	}
	request, err := probe.API(s.WithToken(account.Token), path(s, "pods", server, "header"))
	if err != nil {
		return err
	}
	request.Header = http.Header{
		"Cookie": {"flavour=oat"}, "X-Kubecomm": {"arrives"}, "X-Remote-User": {"somebody"}, "X-Remote-Group": {"system:masters"},
	}
	answer, err := probe.Await(ctx, e, request, "")
	if err != nil {
		return err
	}
	for _, part := range []string{"flavour=oat", "arrives"} {
		if !strings.Contains(answer.Body, part) {
			return fmt.Errorf("%s didn't arrive: %s", part, answer)
		}
	}
	for _, part := range []string{"Authorization", "X-Remote-User", "X-Remote-Group", account.Token} {
		if strings.Contains(answer.Body, part) {
			return fmt.Errorf("the server was told the client's credentials, or whom it says that it is: %s", part)
		}
	}
	return nil
}

func redirects(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	at := path(s, "services", plain, "")
	if err := reaches(ctx, s, e, at+"hostname", server); err != nil { // it may not have its endpoints yet
		return err
	}
	request, err := probe.API(s.Admin, at+"redirect?code=302&location=/hostname")
	if err != nil {
		return err
	}
	answer, err := probe.Do(ctx, e, request)
	if err != nil {
		return err
	}
	location := answer.Header.Get("Location")
	e.Note("Location: %s", location)
	if answer.Status != http.StatusFound || !strings.HasSuffix(location, at+"hostname") {
		return fmt.Errorf("a redirect to /hostname was answered %d to %q; it should be 302 to %shostname", answer.Status, location, at)
	}
	return nil
}
