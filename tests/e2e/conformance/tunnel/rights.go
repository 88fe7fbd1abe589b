package tunnel

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// accountUser is who a service account of kube-system is to the API.
func accountUser(account string) string {
	return "system:serviceaccount:" + metav1.NamespaceSystem + ":" + account
}

// rightsBeyond asks the API what a service account of kube-system may do in a namespace, besides what any account may.
func rightsBeyond(
	ctx context.Context, s *suite.Subject, account, in string,
) (authorizationv1.SubjectRulesReviewStatus, error) {
	anybodys, err := rightsOf(ctx, s, accountUser("nobody-in-particular"), in)
	if err != nil {
		return authorizationv1.SubjectRulesReviewStatus{}, err
	}
	own, err := rightsOf(ctx, s, accountUser(account), in)
	own.ResourceRules = beyond(own.ResourceRules, anybodys.ResourceRules)
	own.NonResourceRules = beyond(own.NonResourceRules, anybodys.NonResourceRules)
	return own, err
}

func beyond[R any](rules, anybodys []R) []R {
	return slices.DeleteFunc(slices.Clone(rules), func(rule R) bool {
		return slices.ContainsFunc(anybodys, func(other R) bool { return reflect.DeepEqual(other, rule) })
	})
}

func rightsOf(ctx context.Context, s *suite.Subject, user, in string) (authorizationv1.SubjectRulesReviewStatus, error) {
	client, err := s.As(user)
	if err != nil {
		return authorizationv1.SubjectRulesReviewStatus{}, err
	}
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: in},
	}, metav1.CreateOptions{})
	if err != nil {
		return authorizationv1.SubjectRulesReviewStatus{}, fmt.Errorf("asking what %s may do in namespace %s: %w", user, in, err)
	}
	return review.Status, nil
}

func describeRule(rule authorizationv1.ResourceRule) string {
	told := strings.Join(rule.Verbs, ", ") + " " + strings.Join(rule.Resources, ", ")
	if len(rule.ResourceNames) > 0 {
		told += " " + strings.Join(rule.ResourceNames, ", ")
	}
	return told
}
