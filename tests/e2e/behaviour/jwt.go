package behaviour

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/client-go/util/keyutil"
)

// claims are those of a token. Service accounts' have the last, other issuers' may have groups.
type claims struct {
	jwt.Claims

	Groups     []string        `json:"groups,omitempty"`
	Kubernetes json.RawMessage `json:"kubernetes.io,omitempty"`
}

// tokenAlgorithm is that of kubeadm's key, and of the key that tokens of other issuers are signed with here.
const tokenAlgorithm = jose.RS256

// parseClaims doesn't verify: whether a token is good, apiservers are asked.
func parseClaims(token string) (claims, error) {
	var found claims
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{tokenAlgorithm})
	if err != nil {
		return found, fmt.Errorf("the token: %w", err)
	}
	return found, parsed.UnsafeClaimsWithoutVerification(&found)
}

// length is how long the token is good for.
func (c claims) length() time.Duration { return c.Expiry.Time().Sub(c.IssuedAt.Time()) }

// earlier are the claims of a token that was issued so much earlier.
func (c claims) earlier(by time.Duration) claims {
	for _, at := range []**jwt.NumericDate{&c.IssuedAt, &c.NotBefore, &c.Expiry} {
		*at = jwt.NewNumericDate((*at).Time().Add(-by))
	}
	return c
}

// signingKey is the cluster's own.
func (l *Lab) signingKey(ctx context.Context) (*rsa.PrivateKey, error) {
	const path = "/etc/kubernetes/pki/sa.key"
	file, err := l.controlPlane().ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	key, err := keyutil.ParsePrivateKeyPEM(file.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	found, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is a %T", path, key)
	}
	return found, nil
}

// sign makes a token without saying by which key, so that an apiserver tries all that it has.
func (c claims) sign(key *rsa.PrivateKey) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: tokenAlgorithm, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}
