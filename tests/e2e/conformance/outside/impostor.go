package outside

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/standin"
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
	var told atomic.Bool
	inPlace, err := standin.Serve(ctx, request, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		told.Store(r.Header.Get("Authorization") == "Bearer "+token)
	}))
	if err != nil {
		return false, answer, err
	}
	defer inPlace.Close()
	request.Dial = inPlace.Dial
	request.TLS = client(request.TLS)
	answer, err = probe.Do(ctx, e, request)
	return told.Load(), answer, err
}
