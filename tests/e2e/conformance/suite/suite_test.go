package suite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

var errBroken = errors.New("broken")

func does(err error) Action {
	return func(context.Context, *Subject, *Evidence) error { return err }
}

func TestWhatBecomesOfACheck(t *testing.T) {
	tests := map[string]struct {
		check   Check
		verdict Verdict
		reason  string
	}{
		"nothing fails":               {Check{Try: does(nil)}, Passed, ""},
		"it fails":                    {Check{Try: does(errBroken)}, Failed, "broken"},
		"it can't be done":            {Check{Try: does(Skip("there is no %s", "worker"))}, Skipped, "there is no worker"},
		"its positive control fails":  {Check{Control: does(errBroken), Try: does(nil)}, Failed, "the positive control, which must succeed, failed: broken"},
		"its control can't be done":   {Check{Control: does(Skip("no")), Try: does(nil)}, Skipped, "no"},
		"it says a token in an error": {Check{Try: does(errors.New("Bearer abcdefghijkl refused"))}, Failed, "Bearer (token) refused"},
		"it panics":                   {Check{Try: func(context.Context, *Subject, *Evidence) error { panic("oh") }}, Failed, "the check panicked: oh"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			result := test.check.Do(t.Context(), nil)
			assert.Equal(t, test.verdict, result.Verdict)
			assert.Equal(t, test.reason, result.Reason)
		})
	}
}

func TestWhatAnInterruptionCutShortDidNotFail(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	result := Check{Try: func(ctx context.Context, _ *Subject, _ *Evidence) error {
		interrupt()
		return ctx.Err()
	}}.Do(ctx, nil)
	assert.Equal(t, Skipped, result.Verdict)
	assert.Equal(t, "the run was interrupted", result.Reason)
}

func TestWhatNobodyAskedForIsSkippedAndSaysByWhichFlagItIsDone(t *testing.T) {
	tests := map[string]struct {
		check   Check
		allowed Allowed
		reason  string // why it is skipped, or empty if it is done
	}{
		"any check":                    {Check{}, Allowed{}, ""},
		"a destructive one":            {Check{Destructive: true}, Allowed{Slow: true}, "it is destructive, and -destructive was not given"},
		"a destructive one, asked for": {Check{Destructive: true}, Allowed{Destructive: true}, ""},
		"a slow one":                   {Check{Slow: true}, Allowed{Destructive: true}, "it is slow, and -slow was not given"},
		"a slow one, asked for":        {Check{Slow: true}, Allowed{Slow: true}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.check.Control, test.check.Try = does(nil), does(errBroken)
			result := test.check.IfAllowed(test.allowed).Do(t.Context(), nil)
			if test.reason == "" {
				assert.Equal(t, Failed, result.Verdict)
				return
			}
			assert.Equal(t, Skipped, result.Verdict)
			assert.Equal(t, test.reason, result.Reason)
		})
	}
}

func TestEvidenceHoldsNoSecrets(t *testing.T) {
	evidence := &Evidence{}
	evidence.Note("Authorization: Bearer %s is an invalid bearer token", "opaque-token-1")
	evidence.Unsafe("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln")
	evidence.Note("-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----")
	require.Equal(t, []Note{
		{Text: "Authorization: Bearer (token) is an invalid bearer token"}, {Text: "token (token)", Unsafe: true}, {Text: "(private key)"},
	}, evidence.Notes())
}

func TestAnExpectationIsAProfileAndWhatOverridesIt(t *testing.T) {
	expect, err := Expect("restricted", "none", []string{
		"apiserver.tls_min_version=VersionTLS12", "apiserver.authorization_modes=Node,RBAC",
	})
	require.NoError(t, err)
	assert.True(t, expect.VerifiesKubelets())
	assert.Equal(t, settings.Value{"VersionTLS12"}, expect.Value("apiserver.tls_min_version"))
	assert.Equal(t, settings.Value{"Node", "RBAC"}, expect.Value("apiserver.authorization_modes"))

	expect, err = Expect("kubeadm", "none", nil)
	require.NoError(t, err)
	assert.False(t, expect.VerifiesKubelets())
	assert.Empty(t, expect.values)
}

func TestAnExpectationThatCanNotBeIsRefused(t *testing.T) {
	tests := map[string]struct {
		profile, tunnel string
		assignments     []string
		want            string
	}{
		"a profile":         {"strict", "none", nil, "-profile strict: it must be one of kubeadm, baseline, restricted"},
		"a tunnel":          {"kubeadm", "vpn", nil, "-tunnel vpn: it must be one of none, ssh, konnectivity"},
		"no assignment":     {"kubeadm", "none", []string{"apiserver.profiling"}, "-expect apiserver.profiling: it must be NAME=VALUE"},
		"an unknown name":   {"kubeadm", "none", []string{"apiserver.x=1"}, "-expect apiserver.x=1: there is no setting apiserver.x"},
		"an unknown choice": {"kubeadm", "none", []string{"apiserver.tls_min_version=9"}, "-expect apiserver.tls_min_version: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Expect(test.profile, test.tunnel, test.assignments)
			require.ErrorContains(t, err, test.want)
		})
	}
}
