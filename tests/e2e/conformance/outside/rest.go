package outside

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// readWithToken lists pods as an account that may, and returns whose token it was.
func readWithToken(ctx context.Context, s *suite.Subject, e *suite.Evidence) (suite.Account, error) {
	account, err := newReader(ctx, s)
	if err != nil {
		return account, err
	}
	request, err := verified(s.WithToken(account.Token), pods(s))
	if err != nil {
		return account, err
	}
	_, err = probe.Await(ctx, e, request, `"kind":"PodList"`)
	return account, err
}

func canReadWithToken(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	_, err := readWithToken(ctx, s, e)
	return err
}

func bearer() suite.Check {
	return suite.Check{
		ID:       area + "token",
		Sentence: "a REST client with no more than a token and the root certificate is answered",
		Answers:  []string{"A3", "N2"},
		Try:      canReadWithToken,
	}
}

func noToken() suite.Check {
	return suite.Check{
		ID:       area + "no-token",
		Sentence: "a REST client without a token is refused what the same client with one may read",
		Answers:  []string{"A3", "N2", "N3"},
		Refusal:  "401 Unauthorized where paths for anonymous clients are declared, 403 Forbidden of system:anonymous otherwise",
		Control:  canReadWithToken,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request, err := verified(s.Anonymous(), pods(s))
			if err != nil {
				return err
			}
			status, part := http.StatusForbidden, "system:anonymous"
			if paths := s.Expect.Value("apiserver.anonymous_paths"); paths != nil && paths.String() != "*" {
				status, part = http.StatusUnauthorized, "Unauthorized"
			}
			_, err = probe.Expect(ctx, e, request, status, part)
			return err
		},
	}
}

func wrongToken() suite.Check {
	return suite.Check{
		ID:       area + "wrong-token",
		Sentence: "a token whose signature was changed is refused",
		Answers:  []string{"A3", "N2"}, Refusal: "Unauthorized",
		Control: canReadWithToken,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			account, err := readWithToken(ctx, s, e)
			if err != nil {
				return err
			}
			token, err := spoil(account.Token)
			if err != nil {
				return err
			}
			request, err := verified(s.WithToken(token), pods(s))
			if err != nil {
				return err
			}
			_, err = probe.Expect(ctx, e, request, http.StatusUnauthorized, "Unauthorized")
			return err
		},
	}
}

// spoil changes the first character of a token's signature, of which every bit counts.
func spoil(token string) (string, error) {
	last := strings.LastIndex(token, ".") + 1
	if last == 0 || last == len(token) {
		return "", errors.New("the account's token has no signature")
	}
	other := "A"
	if token[last] == 'A' {
		other = "B"
	}
	return token[:last] + other + token[last+1:], nil
}
