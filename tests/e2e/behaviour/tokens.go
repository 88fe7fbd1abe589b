package behaviour

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

const (
	stockIssuer = "https://kubernetes.default.svc.cluster.local"
	newIssuer   = "https://issuer.example"
)

func tokenPairs() []Pair {
	return []Pair{
		{
			Setting: "apiserver.service_account_issuers",
			Shows:   "new tokens name the first issuer, and tokens of each are accepted",
			Values:  Values{First: {newIssuer, stockIssuer}, Second: {stockIssuer, newIssuer}},
			Answers: Answers{
				Before: "a new token's issuer: " + stockIssuer + ", the old issuer's: " + accepted + ", the new issuer's: 401 Unauthorized",
				First:  "a new token's issuer: " + newIssuer + ", the old issuer's: " + accepted + ", the new issuer's: " + accepted,
				Second: "a new token's issuer: " + stockIssuer + ", the old issuer's: " + accepted + ", the new issuer's: " + accepted,
			},
			ask: compareIssuers,
		},
		{
			Setting: "apiserver.service_account_extend_token_expiration",
			Shows:   "a token that is mounted into a pod is good for an hour, not for a year, and refused from then on",
			Values:  Values{Second: off},
			Answers: Answers{
				Before: "good for 8760h0m0s, now: " + accepted + ", signed anew: " + accepted +
					", signed as if that were an hour and five minutes ago: " + accepted,
				Second: "good for 1h0m7s, now: " + accepted + ", signed anew: " + accepted +
					", signed as if that were an hour and five minutes ago: " + unauthorized + " (" + isOver + ")",
			},
			ask: useMountedToken,
		},
		{
			Setting: "apiserver.service_account_max_token_expiration",
			Shows:   "a token that is asked for longer is good for this long",
			Values:  Values{Second: {"24h"}},
			Answers: Answers{Before: "100h0m0s", Second: "24h0m0s"},
			ask:     measureRequestedToken,
		},
		{
			Setting: "apiserver.service_account_lookup",
			Shows:   "a token from a secret ends with its service account",
			Values:  Values{First: off, Second: on},
			Answers: Answers{
				First:  "of one that exists: " + accepted + ", of a deleted one: " + accepted,
				Second: "of one that exists: " + accepted + ", of a deleted one: 401 Unauthorized",
			},
			ask: useTokensFromSecrets,
		},
	}
}

// compareIssuers signs tokens of either issuer with the cluster's own key: in no state does an apiserver issue what it
// would not accept.
func compareIssuers(ctx context.Context, lab *Lab) (string, error) {
	account, err := lab.account(ctx, strangers)
	if err != nil {
		return "", err
	}
	const hour = 3600
	issued, err := lab.request(ctx, account, hour)
	if err != nil {
		return "", err
	}
	claims, err := parseClaims(issued.Token)
	if err != nil {
		return "", err
	}
	var answers together
	answers.add("a new token's issuer", claims.Issuer)
	key, err := lab.signingKey(ctx)
	if err != nil {
		return "", err
	}
	claims.Audience = jwt.Audience{stockIssuer}
	for _, issuer := range []struct{ called, url string }{{"the old issuer's", stockIssuer}, {"the new issuer's", newIssuer}} {
		claims.Issuer = issuer.url
		token, err := claims.sign(key)
		if err != nil {
			return "", err
		}
		answer, err := lab.whoAmI(ctx, token)
		if err != nil {
			return "", err
		}
		answers.add(issuer.called, answer)
	}
	return answers.String(), nil
}

// fillLimit is how long a kubelet or the controller manager may take.
const fillLimit = 30 * time.Second

// useMountedToken reads the token of a new pod where its kubelet puts it, and uses it now and as it will be once its hour is
// over. For that, the claims are signed by the cluster's own key as if that had been earlier; as they are, they show that
// what is signed here is as good as what apiservers sign.
func useMountedToken(ctx context.Context, lab *Lab) (string, error) {
	account, err := lab.account(ctx, strangers)
	if err != nil {
		return "", err
	}
	pods := lab.client.CoreV1().Pods(strangers)
	pod, err := pods.Create(ctx, lab.sleeper(account), metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	var now int64
	defer func() { _ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}) }()
	var mounted string
	var claims claims
	what := fmt.Sprintf("the token of pod %s", pod.Name)
	err = wait.Until(ctx, what, wait.Options{Limit: fillLimit}, func(ctx context.Context) error {
		script := `cat "/var/lib/kubelet/pods/$1/volumes/kubernetes.io~projected/"*/token`
		token, err := lab.worker().Run(ctx, cluster.Command{Args: []string{"sh", "-c", script, "sh", string(pod.UID)}})
		if err != nil {
			return err
		}
		mounted = string(token)
		claims, err = parseClaims(mounted)
		return err
	})
	if err != nil {
		return "", err
	}
	key, err := lab.signingKey(ctx)
	if err != nil {
		return "", err
	}
	anew, err := claims.sign(key)
	if err != nil {
		return "", err
	}
	// Five minutes, because a token is accepted for a minute longer than it is good for (go-jose v4, jwt.DefaultLeeway).
	over, err := claims.earlier(time.Hour + 5*time.Minute).sign(key)
	if err != nil {
		return "", err
	}
	answers := together{"good for " + claims.length().String()}
	for _, use := range []struct{ called, token string }{
		{"now", mounted}, {"signed anew", anew}, {"signed as if that were an hour and five minutes ago", over},
	} {
		answer, err := lab.whoAmI(ctx, use.token)
		if err == nil {
			answer, err = lab.withReason(ctx, use.token, answer)
		}
		if err != nil {
			return "", err
		}
		answers.add(use.called, answer)
	}
	return answers.String(), nil
}

func measureRequestedToken(ctx context.Context, lab *Lab) (string, error) {
	account, err := lab.account(ctx, strangers)
	if err != nil {
		return "", err
	}
	const hundredHours = 360000
	status, err := lab.request(ctx, account, hundredHours)
	if err != nil {
		return "", err
	}
	claims, err := parseClaims(status.Token)
	if err != nil {
		return "", err
	}
	if said := status.ExpirationTimestamp; !said.Time.Equal(claims.Expiry.Time()) {
		return "", fmt.Errorf("the token is good until %s, and the API says until %s", claims.Expiry.Time(), said)
	}
	return claims.length().String(), nil
}

// useTokensFromSecrets looks at the one kind of token to which it matters: those that end are always looked up
// (Kubernetes v1.37.1, pkg/serviceaccount/legacy.go and claims.go).
func useTokensFromSecrets(ctx context.Context, lab *Lab) (string, error) {
	var answers together
	for _, client := range []string{"of one that exists", "of a deleted one"} {
		account, err := lab.account(ctx, strangers)
		if err != nil {
			return "", err
		}
		token, err := lab.tokenFromSecret(ctx, account)
		if err != nil {
			return "", err
		}
		if client == "of a deleted one" {
			if err := lab.deleteAccount(ctx, account); err != nil {
				return "", err
			}
		}
		answer, err := lab.whoAmI(ctx, token)
		if err != nil {
			return "", err
		}
		answers.add(client, answer)
	}
	return answers.String(), nil
}

// deleteAccount returns once the account's secret is gone too, so that nobody can have missed it.
func (l *Lab) deleteAccount(ctx context.Context, account *corev1.ServiceAccount) error {
	err := l.client.CoreV1().ServiceAccounts(account.Namespace).Delete(ctx, account.Name, metav1.DeleteOptions{})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("secret %s to be gone", account.Name)
	return wait.Until(ctx, what, wait.Options{Limit: fillLimit}, func(ctx context.Context) error {
		_, err := l.client.CoreV1().Secrets(account.Namespace).Get(ctx, account.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			return errors.New("it is still there")
		case apierrors.IsNotFound(err):
			return nil
		}
		return err
	})
}

// tokenFromSecret waits for the controller manager to fill a secret.
func (l *Lab) tokenFromSecret(ctx context.Context, account *corev1.ServiceAccount) (token string, err error) {
	secrets := l.client.CoreV1().Secrets(account.Namespace)
	secret, err := secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: account.Name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account.Name},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("the token in secret %s", secret.Name)
	err = wait.Until(ctx, what, wait.Options{Limit: fillLimit}, func(ctx context.Context) error {
		found, err := secrets.Get(ctx, secret.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if token = string(found.Data[corev1.ServiceAccountTokenKey]); token == "" {
			return errors.New("it has none")
		}
		return nil
	})
	return token, err
}
