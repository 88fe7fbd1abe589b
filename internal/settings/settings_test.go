package settings

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAValidityIsReadOrRefusedWithTheReason(t *testing.T) {
	tests := map[string]struct {
		text   string
		want   time.Duration
		refuse string
	}{
		"a year":                          {text: "8760h", want: 365 * 24 * time.Hour},
		"the least":                       {text: "1h", want: time.Hour},
		"the most":                        {text: "43800h", want: MaxServingValidity},
		"mixed units":                     {text: "1h30m", want: 90 * time.Minute},
		"a unit that Go does not know":    {text: "365d", refuse: `"365d" is not a duration such as "8760h"`},
		"no unit":                         {text: "8760", refuse: "missing unit"},
		"nothing":                         {text: "", refuse: "is not a duration"},
		"too short":                       {text: "59m", refuse: "at least 1h and at most 43800h"},
		"too long":                        {text: "87600h", refuse: "out of bounds"},
		"negative":                        {text: "-8760h", refuse: "out of bounds"},
		"a fraction of a second too fine": {text: "1h0m0.5s", refuse: "whole number of seconds"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseValidity(test.text)
			if test.refuse != "" {
				require.ErrorContains(t, err, test.refuse)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestAFormattedValidityIsReadBackAsItself(t *testing.T) {
	for text, validity := range map[string]time.Duration{
		"8760h": 8760 * time.Hour, "90m": 90 * time.Minute, "3601s": time.Hour + time.Second,
	} {
		require.Equal(t, text, FormatValidity(validity))
		read, err := ParseValidity(text)
		require.NoError(t, err)
		require.Equal(t, validity, read)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	for _, setting := range Table() {
		require.NotEmpty(t, setting.Meaning, setting.Name)
		require.Equal(t, setting.Name, setting.Group()+"."+setting.Attribute())
		require.NotEmpty(t, setting.Lives(), setting.Name)
		require.NotEmpty(t, setting.Observed(), setting.Name)
		managed := setting.Flag+setting.Field+setting.Document != ""
		require.Equal(t, managed, setting.lives+setting.observed == "", "%s: what says it once is enough", setting.Name)
		require.Contains(t, setting.Lives(), setting.Flag+setting.Field+setting.Document, setting.Name)
		declarable := setting.Form != 0
		require.Equal(t, declarable, setting.Default == "", "%s: what isn't declared is as the profile says, or as before", setting.Name)
		require.Equal(t, setting.Flag != "", setting.Component != "", setting.Name)
		if declarable {
			require.NotEmpty(t, setting.Protects, setting.Name)
			require.NotEmpty(t, setting.TakesEffect, setting.Name)
		} else {
			require.Empty(t, setting.Flag+setting.Field+setting.inProfiles(), setting.Name)
		}
	}
	require.Contains(t, Describe("kubelet.serving_certificates.validity"), "Default: `8760h`.")
	require.Contains(t, Describe("kubelet.tls_cipher_suites"), "Protects "+toKubelet+". On a change, "+restarts+
		". CIS 1.12: 4.2.12. Default: what was there before kubecomm.")
	require.Contains(t, Describe("kubelet.max_parallel_restarts"), "at once. Default: `3`.")
	require.Contains(t, Describe("apiserver.tls_min_version"), "Default: `VersionTLS13` in profile `restricted`; otherwise what was there")
	require.Contains(t, named(t, "etcd.tls_min_version").Lives(), "`--tls-min-version` of `etcd`")
	require.Contains(t, named(t, "kubelet.anonymous").Lives(), "ConfigMap `kubelet-config`")
	require.Contains(t, named(t, "apiserver.jwt_issuers").Lives(), "`authentication-*.yaml` on every control plane")
	require.Contains(t, named(t, NameKubeletClientCA).Lives(), "`kubelet-client-ca-*.crt` on every node")
	require.Contains(t, Sources(), string(Defaults().ServingSource))
	_, err := ParseValidity(FormatValidity(Defaults().ServingValidity))
	require.NoError(t, err)
}
