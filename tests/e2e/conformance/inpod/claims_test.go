package inpod

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tokenOf(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

const extended = `{"aud":["https://aud"],"exp":31536100,"iat":100,"iss":"https://issuer","kubernetes.io":{` +
	`"namespace":"n","node":{"name":"w","uid":"1"},"pod":{"name":"p","uid":"2"},"serviceaccount":{"name":"a","uid":"3"},` +
	`"warnafter":3707},"nbf":100,"sub":"system:serviceaccount:n:a"}`

func TestTheClaimsOfATokenAreReadWithoutItsSignature(t *testing.T) {
	found, err := parseClaims(tokenOf(extended) + "\n")
	require.NoError(t, err)
	assert.Equal(t, 8760*time.Hour, found.length())
	assert.Equal(t, "claims: issuer https://issuer, subject system:serviceaccount:n:a, audience https://aud, "+
		"pod p, node w, good for 8760h0m0s, warned of after 1h0m7s", found.String())
}

func TestClaimsBelongToOneAccountAndOnePod(t *testing.T) {
	found, err := parseClaims(tokenOf(extended))
	require.NoError(t, err)
	require.NoError(t, found.belongTo("n", "a", "p", "2"))
	require.ErrorContains(t, found.belongTo("n", "b", "p", "2"), "not of system:serviceaccount:n:b")
	require.ErrorContains(t, found.belongTo("n", "a", "p", "4"), "names pod p (2), not p (4)")
}

func TestWhatIsNoTokenIsRefusedWithoutBeingSaid(t *testing.T) {
	tests := map[string]string{
		"opaque-token":                  "the token has 1 parts, not 3",
		"e30.*secret*.x":                "the token's claims aren't base64",
		tokenOf("secret"):               "the token's claims aren't those of a service account's",
		tokenOf(`{"aud":"not-a-list"}`): "the token's claims aren't those of a service account's",
	}
	for token, want := range tests {
		_, err := parseClaims(token)
		require.EqualError(t, err, want)
	}
}
