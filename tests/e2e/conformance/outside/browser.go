package outside

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/browser"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// browser opens a page through kubectl's proxy, which adds the token that a browser can't send by itself.
func (b *beds) browser() suite.Check {
	show := b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, _ *corev1.Service) error {
		at, stop, err := serveProxy(ctx, s.Admin)
		if err != nil {
			return err
		}
		defer stop()
		page := at + proxied(s)
		if _, err := probe.Await(ctx, e, probe.Request{URL: page}, server); err != nil {
			return err
		}
		shown, err := browser.Open(ctx, page)
		if err != nil {
			return err
		}
		e.Note("a browser showed %s as: %s", page, shown)
		if !strings.Contains(shown, server) {
			return fmt.Errorf("the browser's page should hold %s; it is: %s", server, shown)
		}
		return nil
	})
	return suite.Check{
		ID:       area + "browser",
		Sentence: "a browser shows a service's page through kubectl's proxy, which adds the credentials that browsers can't",
		Answers:  []string{"A2", "A10"}, Limit: suite.SharedLimit,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			// Before anything is made for it.
			if _, err := browser.Find(); err != nil {
				return suite.Skip("%v", err)
			}
			return show(ctx, s, e)
		},
	}
}
