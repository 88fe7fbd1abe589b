package behaviour

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func authorizationPairs() []Pair {
	return []Pair{{
		Setting: "apiserver.authorization_modes",
		Shows:   "a client without rights can't read secrets",
		Values:  Values{First: {"AlwaysAllow"}, Second: {"Node", "RBAC"}, Third: nil}, // see apiserver.authorizers
		Answers: Answers{
			Before: "a stranger: 403 Forbidden, the administrator: " + accepted,
			First:  "a stranger: " + accepted + ", the administrator: " + accepted,
			Second: "a stranger: 403 Forbidden, the administrator: " + accepted,
		},
		ask: readSecrets,
	}}
}

func readSecrets(ctx context.Context, lab *Lab) (string, error) {
	token, err := lab.newToken(ctx, strangers)
	if err != nil {
		return "", err
	}
	stranger, err := lab.as(token)
	if err != nil {
		return "", err
	}
	var answers together
	_, err = stranger.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	answer, err := verdict(err)
	if err != nil {
		return "", err
	}
	answers.add("a stranger", answer)
	_, err = lab.client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if answer, err = verdict(err); err != nil {
		return "", err
	}
	answers.add("the administrator", answer)
	return answers.String(), nil
}

// on and off are the values of switches.
var on, off = settings.Value{"true"}, settings.Value{"false"}
