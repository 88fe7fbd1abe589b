package behaviour

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/client-go/rest"
)

const (
	issuerAudience = "kubecomm"
	loginPrefix    = "login:"
)

// Why tokens are refused, as apiservers say it to who may review tokens (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/oidc/oidc.go; for the tokens of service accounts,
// pkg/serviceaccount/claims.go).
const (
	wrongAudience  = `oidc: expected audience "kubecomm" got ["somebody"]`
	isExpired      = "oidc: token is expired"
	wrongSignature = "failed to verify signature"
	tooLong        = "an hour at most" // by a rule of the issuer's
	isRoot         = "nobody is root"  // by another
	isOver         = "service account token has expired"
	unauthorized   = "401 Unauthorized"
)

func issuerPairs() []Pair {
	return []Pair{{
		Setting: "apiserver.jwt_issuers",
		Shows:   "a token of the issuer makes a client the user that it names, and one that isn't as it must be doesn't",
		Values:  Values{Second: {anIssuer()}},
		Called:  "an issuer of tokens for `" + issuerAudience + "` that are good for an hour at most, whose users are not root",
		Answers: Answers{
			Before: "a good token: " + unauthorized + ", for somebody else: " + unauthorized + ", expired: " + unauthorized +
				", of another key: " + unauthorized + ", good for two hours: " + unauthorized + ", of root: " + unauthorized,
			Second: "a good token: " + loginPrefix + "alice, for somebody else: " + unauthorized + " (" + wrongAudience +
				"), expired: " + unauthorized + " (" + isExpired + "), of another key: " + unauthorized + " (" + wrongSignature +
				"), good for two hours: " + unauthorized + " (" + tooLong + "), of root: " + unauthorized + " (" + isRoot + ")",
		},
		ask: useTokensOfAnIssuer,
	}}
}

// anIssuer is one in the form of a setting.
func anIssuer() string {
	prefix := loginPrefix
	text, err := json.Marshal(apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{
			URL: issuerURL, CertificateAuthority: string(theOthers().ca), Audiences: []string{issuerAudience},
		},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: &prefix},
			Groups:   apiserver.PrefixedClaimOrExpression{Claim: "groups", Prefix: &prefix},
		},
		ClaimValidationRules: []apiserver.ClaimValidationRule{{Expression: "claims.exp - claims.iat <= 3600", Message: tooLong}},
		UserValidationRules: []apiserver.UserValidationRule{{
			Expression: "user.username != '" + loginPrefix + "root'", Message: isRoot,
		}},
	})
	utilruntime.Must(err)
	return string(text)
}

// login are the claims of a good token of the issuer's.
func login(user string, groups ...string) claims {
	return claims{
		Claims: jwt.Claims{
			Issuer: issuerURL, Subject: user, Audience: jwt.Audience{issuerAudience},
			IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
		},
		Groups: groups,
	}
}

func useTokensOfAnIssuer(ctx context.Context, lab *Lab) (string, error) {
	good, elsewhere, expired, long, root := login("alice"), login("alice"), login("alice"), login("alice"), login("root")
	elsewhere.Audience = jwt.Audience{"somebody"}
	expired.IssuedAt = jwt.NewNumericDate(time.Now().Add(-2 * time.Hour))
	expired.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
	long.Expiry = jwt.NewNumericDate(time.Now().Add(2 * time.Hour))
	var answers together
	for _, token := range []struct {
		called string
		claims claims
		key    *rsa.PrivateKey
	}{
		{"a good token", good, theOthers().signs}, {"for somebody else", elsewhere, theOthers().signs},
		{"expired", expired, theOthers().signs}, {"of another key", good, theOthers().signsNot},
		{"good for two hours", long, theOthers().signs}, {"of root", root, theOthers().signs},
	} {
		text, err := token.claims.sign(token.key)
		if err != nil {
			return "", err
		}
		answer, err := lab.present(ctx, text)
		if err != nil {
			return "", err
		}
		answers.add(token.called, answer)
	}
	return answers.String(), nil
}

// present returns whom a token stands for, or how it is refused, and why if that is one of the known reasons.
func (l *Lab) present(ctx context.Context, token string) (string, error) {
	config := rest.AnonymousClientConfig(l.admin)
	config.BearerToken = token
	answer, err := nameOf(ctx, config)
	if err != nil {
		return "", err
	}
	return l.withReason(ctx, token, answer)
}

// withReason adds to the refusal of a token why it was refused, if that is one of the known reasons.
func (l *Lab) withReason(ctx context.Context, token, answer string) (string, error) {
	if answer != unauthorized {
		return answer, nil
	}
	review, err := l.client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	for _, reason := range []string{wrongAudience, isExpired, wrongSignature, tooLong, isRoot, isOver} {
		if strings.Contains(review.Status.Error, reason) {
			return answer + " (" + reason + ")", nil
		}
	}
	return answer, nil
}
