package inpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	unauthorized = "Unauthorized"
	// otherAudience is whom tokens are for that aren't for the API.
	otherAudience = "https://kubecomm-conformance.example"
)

// use asks the API for something that only clients who authenticate may read.
func use(ctx context.Context, s *suite.Subject, e *suite.Evidence, token string, status int, part string) error {
	request, err := probe.API(s.WithToken(token), "/api")
	if err != nil {
		return err
	}
	_, err = probe.Expect(ctx, e, request, status, part)
	return err
}

func accepted(ctx context.Context, s *suite.Subject, e *suite.Evidence, token string) error {
	return use(ctx, s, e, token, http.StatusOK, "APIVersions")
}

func refused(ctx context.Context, s *suite.Subject, e *suite.Evidence, token string) error {
	return use(ctx, s, e, token, http.StatusUnauthorized, unauthorized)
}

func audience() suite.Check {
	ask := func(ctx context.Context, s *suite.Subject, audiences ...string) (string, error) {
		account, err := s.NewAccount(ctx)
		if err != nil {
			return "", err
		}
		token, err := s.NewToken(ctx, account.Name, authenticationv1.TokenRequestSpec{Audiences: audiences})
		return token.Token, err
	}
	return suite.Check{
		ID:       area + "token-audience",
		Sentence: "the API refuses a token that is for another audience, which the API vouches for to that audience alone",
		Answers:  []string{"N2", "N5"},
		Refusal:  unauthorized,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			token, err := ask(ctx, s)
			if err != nil {
				return err
			}
			return accepted(ctx, s, e, token)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			token, err := ask(ctx, s, otherAudience)
			if err != nil {
				return err
			}
			if err := refused(ctx, s, e, token); err != nil {
				return err
			}
			for audience, good := range map[string]bool{otherAudience: true, "https://nobody.example": false} {
				found, err := review(ctx, s, e, token, audience)
				if err != nil {
					return err
				}
				if found.Authenticated != good || good && !slices.Contains(found.Audiences, audience) {
					return fmt.Errorf("the review for %s says authenticated %t, for audiences %q; it should say %t",
						audience, found.Authenticated, found.Audiences, good)
				}
			}
			return nil
		},
	}
}

// review asks the API whether a token is good for an audience.
func review(
	ctx context.Context, s *suite.Subject, e *suite.Evidence, token, audience string,
) (authenticationv1.TokenReviewStatus, error) {
	answer, err := s.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.TokenReviewStatus{}, err
	}
	found := answer.Status
	e.Note("TokenReview for %s: authenticated %t as %q %s", audience, found.Authenticated, found.User.Username, found.Error)
	return found, nil
}

// cacheLimit is more than the ten seconds for which an apiserver keeps that a token is good (Kubernetes v1.37.1,
// pkg/kubeapiserver/options/authentication.go).
const cacheLimit = 30 * time.Second

func boundToken() suite.Check {
	return suite.Check{
		ID:       area + "bound-token",
		Sentence: "a token that is bound to an object is refused within 30 seconds after the object is deleted",
		Answers:  []string{"N2", "N5"},
		Refusal:  unauthorized,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			token, _, err := bind(ctx, s)
			if err != nil {
				return err
			}
			return accepted(ctx, s, e, token)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			token, object, err := bind(ctx, s)
			if err != nil {
				return err
			}
			if err := accepted(ctx, s, e, token); err != nil {
				return fmt.Errorf("before its object is deleted: %w", err)
			}
			if err := s.Client.CoreV1().Secrets(s.Namespace).Delete(ctx, object, metav1.DeleteOptions{}); err != nil {
				return err
			}
			start := time.Now()
			err = wait.Until(ctx, "the token to be refused", wait.Options{Limit: cacheLimit, Every: time.Second},
				func(ctx context.Context) error { return refused(ctx, s, &suite.Evidence{}, token) })
			if err != nil {
				return err
			}
			e.Note("the secret was deleted, and %s later the token was refused with %d %s", time.Since(start).Round(time.Second),
				http.StatusUnauthorized, unauthorized)
			return nil
		},
	}
}

// bind asks for a token that is good while a secret exists, and names the secret.
func bind(ctx context.Context, s *suite.Subject) (token, object string, err error) {
	account, err := s.NewAccount(ctx)
	if err != nil {
		return "", "", err
	}
	secret, err := s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bound-"},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", "", err
	}
	status, err := s.NewToken(ctx, account.Name, authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID},
	})
	if err == nil && status.Token == "" {
		err = errors.New("the API gave no token")
	}
	return status.Token, secret.Name, err
}
