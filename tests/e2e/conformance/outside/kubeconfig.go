package outside

import (
	"context"
	"errors"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// askVersion demands the apiserver's certificate too.
func askVersion(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	request, err := verified(s.Admin, version)
	if err != nil {
		return err
	}
	answer, err := probe.Expect(ctx, e, request, http.StatusOK, `"gitVersion"`)
	if err != nil {
		return err
	}
	if answer.Certificate == nil {
		return errors.New("the apiserver answered over a connection without a certificate")
	}
	e.Note("the apiserver showed the %s", probe.Describe(answer.Certificate))
	return nil
}

func kubeconfig() suite.Check {
	return suite.Check{
		ID:       area + "kubeconfig",
		Sentence: "a client with the kubeconfig finds the apiserver, verifies its certificate, and is known to it",
		Answers:  []string{"A1", "A4", "N2"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			if err := askVersion(ctx, s, e); err != nil {
				return err
			}
			// Whoever may ask for the version may be nobody: who asks is told by a review of oneself.
			review, err := s.Client.AuthenticationV1().SelfSubjectReviews().
				Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			user := review.Status.UserInfo
			e.Note("the apiserver knows the client as %s of groups %v", user.Username, user.Groups)
			if user.Username == "" || user.Username == "system:anonymous" {
				return errors.New("the apiserver doesn't know who the kubeconfig's client is: " + user.Username)
			}
			return nil
		},
	}
}

func wrongRoot() suite.Check {
	return suite.Check{
		ID:       area + "wrong-root-certificate",
		Sentence: "a client refuses an apiserver that its root certificate didn't sign",
		Answers:  []string{"A1", "A3"}, Refusal: unknownAuthority,
		Control: askVersion,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			config, err := distrusting(s.Admin)
			if err != nil {
				return err
			}
			request, err := verified(config, version)
			if err != nil {
				return err
			}
			_, err = probe.Do(ctx, e, request)
			return probe.Refused(err, unknownAuthority)
		},
	}
}
