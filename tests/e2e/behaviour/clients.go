package behaviour

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// account makes a service account that nobody has heard of yet: what an authenticator or authorizer said of an older one
// may be in a cache.
func (l *Lab) account(ctx context.Context, namespace string) (*corev1.ServiceAccount, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "client-"}}
	return l.client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
}

// request asks for a token of an account.
func (l *Lab) request(
	ctx context.Context, account *corev1.ServiceAccount, seconds int64,
) (*authenticationv1.TokenRequestStatus, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := l.client.CoreV1().ServiceAccounts(account.Namespace).
		CreateToken(ctx, account.Name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return &answer.Status, nil
}

// newToken is one of an account that was just made.
func (l *Lab) newToken(ctx context.Context, namespace string) (string, error) {
	account, err := l.account(ctx, namespace)
	if err != nil {
		return "", err
	}
	const hour = 3600
	status, err := l.request(ctx, account, hour)
	if err != nil {
		return "", err
	}
	return status.Token, nil
}

// as returns a client of the API with no other credentials than a token.
func (l *Lab) as(token string) (kubernetes.Interface, error) {
	config := rest.AnonymousClientConfig(l.admin)
	config.BearerToken = token
	return kubernetes.NewForConfig(config)
}

const accepted = "accepted"

// whoAmI asks the API whose a token is, and says whether it was accepted.
func (l *Lab) whoAmI(ctx context.Context, token string) (string, error) {
	client, err := l.as(token)
	if err != nil {
		return "", err
	}
	_, err = client.AuthenticationV1().SelfSubjectReviews().
		Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return verdict(err)
}

// verdict returns what the API said to a request.
func verdict(err error) (string, error) {
	if err == nil {
		return accepted, nil
	}
	if said, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return fmt.Sprintf("%d %s", said.Status().Code, said.Status().Reason), nil
	}
	return "", err
}
