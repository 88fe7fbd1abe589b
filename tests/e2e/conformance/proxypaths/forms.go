// Package proxypaths checks the apiserver's proxy to nodes, pods and services: that each form of its URLs leads where it should,
// what it passes on, whom it lets through, and that what it says over HTTPS is verified by nobody.
package proxypaths

import (
	"context"
	"fmt"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "proxy-paths/"

// Checks lists what is checked.
func Checks() []suite.Check {
	server := newBed("what the proxy leads to", makeBed)
	checks := append(forms(), passesOn()...)
	checks = append(checks, refusals()...)
	checks = append(checks, unverified())
	return append(prepare(server, checks), webSockets(server)...)
}

// prepare has checks make their bed first, for which it gives them time.
func prepare(b *bed, checks []suite.Check) []suite.Check {
	for i := range checks {
		checks[i].Limit = suite.SharedLimit
		checks[i].Try = before(b, checks[i].Try)
		if checks[i].Control != nil {
			checks[i].Control = before(b, checks[i].Control)
		}
	}
	return checks
}

func before(b *bed, do suite.Action) suite.Action {
	return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		if _, err := b.Get(ctx, s); err != nil {
			return err
		}
		return do(ctx, s, e)
	}
}

// forms are the ways to name what is proxied to.
func forms() []suite.Check {
	var checks []suite.Check
	for _, form := range []struct{ id, sentence, kind, name string }{
		{"pod-bare", "a pod's name alone leads to its first port, over HTTP", "pods", server},
		{"pod-port", "a pod's name and a port lead to that port, over HTTP", "pods", fmt.Sprintf("%s:%d", server, plainPort)},
		{"pod-http", "http: before a pod's name says so", "pods", fmt.Sprintf("http:%s:%d", server, plainPort)},
		{"pod-https", "https: before a pod's name encrypts", "pods", fmt.Sprintf("https:%s:%d", server, tlsPort)},
		{"service-bare", "a service's name alone leads to its only port, over HTTP", "services", plain},
		{"service-port", "a service's name and a port's number lead to that port", "services", named + ":80"},
		{"service-port-name", "a service's name and a port's name lead to that port", "services", named + ":web"},
		{"service-empty-port", "an empty port is the one without a name", "services", plain + ":"},
		{"service-http", "http: before a service's name says so", "services", "http:" + named + ":web"},
		{"service-https", "https: before a service's name encrypts", "services", "https:" + named + ":443"},
		{"service-https-port-name", "https: goes with a port's name", "services", "https:" + named + ":secure"},
		{"service-https-empty-port", "https: goes with an empty port", "services", "https:" + secure + ":"},
	} {
		checks = append(checks, suite.Check{
			ID: area + form.id, Sentence: form.sentence, Answers: []string{"C1", "C7", "A9"},
			Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
				return reaches(ctx, s, e, path(s, form.kind, form.name, "hostname"), server)
			},
		})
	}
	return append(checks, everyPod(), nodes(), nodesPorts())
}

func path(s *suite.Subject, kind, name, rest string) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/%s/%s/proxy/%s", s.Namespace, kind, name, rest)
}

// reaches asks as the administrator until the answer is the wanted one.
func reaches(ctx context.Context, s *suite.Subject, e *suite.Evidence, path, wanted string) error {
	request, err := probe.API(s.Admin, path)
	if err != nil {
		return err
	}
	_, err = probe.Await(ctx, e, request, wanted)
	return err
}
