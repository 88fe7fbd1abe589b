package kubeletapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	unauthorized = "Unauthorized"
	metrics      = "/metrics"
)

// collects is the control of all that refuses clients: an account that may read metrics does.
func collects(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	_, err := allowed(ctx, s, e, metrics, "nodes/metrics")
	return err
}

// rightLimit is longer than kubelets remember that they refused something.
const rightLimit = 45 * time.Second

// allowed makes an account that may read a resource, and waits until every kubelet lets it.
func allowed(ctx context.Context, s *suite.Subject, e *suite.Evidence, path, resource string) (suite.Account, error) {
	if err := tokensTaken(s); err != nil {
		return suite.Account{}, err
	}
	account, err := server.NewAccount(ctx, s, suite.Reads(resource))
	if err != nil {
		return account, err
	}
	e.Note("%s may get %s, and nothing else", account.User, resource)
	return account, onEvery(s, func(node suite.Node) error {
		what := fmt.Sprintf("%s to be served to an account with %s", path, resource)
		return wait.Until(ctx, what, wait.Options{Limit: rightLimit, Every: time.Second}, func(ctx context.Context) error {
			_, err := probe.Expect(ctx, e, request(s, node, path, account.Token), http.StatusOK, "")
			return err
		})
	})
}

// tokensTaken is for checks by service accounts to be skipped by.
func tokensTaken(s *suite.Subject) error {
	if s.Expect.Is("kubelet.webhook_authentication", "false") {
		return suite.Skip("kubelet.webhook_authentication is declared to be false, so that kubelets take no tokens")
	}
	return nil
}

func anonymous() suite.Check {
	return suite.Check{
		ID:       area + "anonymous",
		Sentence: "kubelets refuse clients without credentials",
		Answers:  []string{"C6", "CIS 4.2.1"},
		Limit:    limit,
		Refusal:  unauthorized,
		Control:  collects,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			if s.Expect.Is("kubelet.anonymous", "true") {
				return suite.Skip("kubelet.anonymous is declared to be true")
			}
			return expect(ctx, s, e, metrics, "", http.StatusUnauthorized, unauthorized)
		},
	}
}

func unknownToken() suite.Check {
	return suite.Check{
		ID:       area + "unknown-token",
		Sentence: "kubelets refuse a token that nobody issued",
		Answers:  []string{"C6"},
		Limit:    limit,
		Refusal:  unauthorized,
		Control:  collects,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return expect(ctx, s, e, metrics, rand.Text(), http.StatusUnauthorized, unauthorized)
		},
	}
}

func delegation() suite.Check {
	return suite.Check{
		ID:       area + "token-delegation",
		Sentence: "kubelets ask the apiserver whose a service account's token is, and let in whom it names",
		Answers:  []string{"C6"},
		Limit:    limit,
		Try:      collects,
	}
}

func stranger() suite.Check {
	return suite.Check{
		ID:       area + "no-rights",
		Sentence: "kubelets refuse a service account to which nothing was granted",
		Answers:  []string{"C6", "CIS 4.2.2"},
		Limit:    limit,
		Refusal:  "verb=get, resource=nodes, subresource(s)=[metrics]",
		Control:  collects,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			account, err := server.NewAccount(ctx, s)
			if err != nil {
				return err
			}
			return expect(ctx, s, e, metrics, account.Token, http.StatusForbidden, forbidden(account.User, "[metrics]"))
		},
	}
}

// forbidden is how kubelets refuse whom they know (Kubernetes v1.37.1, pkg/kubelet/server/server.go). Subresources may be cut off.
func forbidden(user, subresources string) string {
	return fmt.Sprintf("Forbidden (user=%s, verb=get, resource=nodes, subresource(s)=%s", user, subresources)
}

// right is one that opens a path of kubelets' and no other (Kubernetes v1.37.1, pkg/kubelet/server/auth.go).
type right struct{ name, path, subresources string }

func rights() []right {
	return []right{
		{"metrics", "/metrics", "[metrics]"},
		{"pods", "/pods", "[pods proxy]"},
		{"healthz", "/healthz", "[healthz proxy]"},
		{"configz", "/configz", "[configz proxy]"},
	}
}

func (r right) check() suite.Check {
	resource := "nodes/" + r.name
	var account suite.Account
	return suite.Check{
		ID:       area + "only-" + r.name,
		Sentence: fmt.Sprintf("who may get %s reads %s of kubelets, and nothing else of theirs", resource, r.path),
		Answers:  []string{"C6"},
		Limit:    limit,
		Refusal:  "Forbidden (user=",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) (err error) {
			account, err = allowed(ctx, s, e, r.path, resource)
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			for _, other := range rights() {
				if other == r {
					continue
				}
				refusal := forbidden(account.User, other.subresources)
				if err := expect(ctx, s, e, other.path, account.Token, http.StatusForbidden, refusal); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
