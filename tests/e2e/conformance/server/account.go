// Package server has what checks of kubelets and of components of control planes share: both are servers that speak TLS and leave
// it to the apiserver who their clients are and what these may do.
package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// grantLimit is how long a right may take to be known to apiservers.
const grantLimit = 20 * time.Second

// NewAccount makes a service account and waits until the apiserver knows its rights: servers that are asked earlier would keep the
// refusal for up to 30 s.
func NewAccount(ctx context.Context, s *suite.Subject, rules ...rbacv1.PolicyRule) (suite.Account, error) {
	account, err := s.NewAccount(ctx, rules...)
	if err != nil {
		return account, err
	}
	client, err := kubernetes.NewForConfig(s.WithToken(account.Token))
	if err != nil {
		return account, err
	}
	what := fmt.Sprintf("the rights of %s", account.User)
	return account, wait.Until(ctx, what, wait.Options{Limit: grantLimit}, func(ctx context.Context) error {
		for _, asked := range reviews(rules) {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: asked}
			answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			if !answer.Status.Allowed {
				return fmt.Errorf("the apiserver doesn't allow it yet: %s", answer.Status.Reason)
			}
		}
		return nil
	})
}

// reviews asks for every right that the rules give, but for those with a wildcard.
func reviews(rules []rbacv1.PolicyRule) []authorizationv1.SelfSubjectAccessReviewSpec {
	var all []authorizationv1.SelfSubjectAccessReviewSpec
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			for _, name := range rule.Resources {
				resource, subresource, _ := strings.Cut(name, "/")
				all = append(all, authorizationv1.SelfSubjectAccessReviewSpec{
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: verb, Resource: resource, Subresource: subresource,
					},
				})
			}
			for _, path := range rule.NonResourceURLs {
				if strings.Contains(path, "*") {
					continue
				}
				all = append(all, authorizationv1.SelfSubjectAccessReviewSpec{
					NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
				})
			}
		}
	}
	return all
}
