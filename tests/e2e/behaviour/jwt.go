package behaviour

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/util/keyutil"
)

// claims are those of a service account token.
type claims struct {
	Issuer     string          `json:"iss"`
	Audience   []string        `json:"aud"`
	Subject    string          `json:"sub"`
	Expires    int64           `json:"exp"` // in seconds since 1970, as are the next two
	IssuedAt   int64           `json:"iat"`
	NotBefore  int64           `json:"nbf"`
	Kubernetes json.RawMessage `json:"kubernetes.io"`
}

func parseClaims(token string) (claims, error) {
	var found claims
	parts := strings.Split(token, ".")
	const header, payload, signature = 0, 1, 2
	if len(parts) != signature+1 || parts[header] == "" {
		return found, errors.New("it is no token of three parts")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[payload])
	if err != nil {
		return found, fmt.Errorf("the token's claims: %w", err)
	}
	return found, json.Unmarshal(text, &found)
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
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return text + "." + encode(signature), nil
}
