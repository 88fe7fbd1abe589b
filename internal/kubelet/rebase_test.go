package kubelet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRebaseGivesTheWantedFieldsAndGoesBackToWhatWasThereBefore(t *testing.T) {
	const (
		stock = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n" +
			"clusterDNS:\n- 10.96.0.10\nkind: KubeletConfiguration\n"
		odd   = "# by hand\nkind:   KubeletConfiguration\ntlsMinVersion: \"VersionTLS11\"\n"
		floor = "tlsMinVersion: VersionTLS13\n"
	)
	managed := []string{"tlsMinVersion", "tlsCipherSuites"}
	want := Fields{"tlsMinVersion": []byte(`"VersionTLS13"`)}
	ciphers := Fields{"tlsCipherSuites": []byte(`["A", "B"]`)}
	tests := map[string]struct {
		original, current string
		want              Fields
		result            string
	}{
		"a field is added, the rest stays as it was": {stock, stock, want, stock + floor},
		"a list is added":                               {stock, stock, ciphers, stock + "tlsCipherSuites:\n- A\n- B\n"},
		"a field is replaced where it stands":           {odd, odd, want, "# by hand\nkind: KubeletConfiguration\ntlsMinVersion: VersionTLS13\n"},
		"what is right already is left as it was":       {stock + floor, stock + floor, want, stock + floor},
		"what we added goes: back byte for byte":        {stock, stock + floor, nil, stock},
		"what we replaced comes back: byte for byte":    {odd, "# by hand\nkind: KubeletConfiguration\ntlsMinVersion: VersionTLS13\n", Fields{"tlsMinVersion": []byte(`"VersionTLS11"`)}, odd},
		"another field that somebody added since stays": {stock, stock + "maxPods: 50\n" + floor, nil, stock + "maxPods: 50\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Rebase([]byte(test.original), []byte(test.current), managed, test.want)
			require.NoError(t, err)
			require.Equal(t, test.result, string(got))
		})
	}
}

func TestAFieldInsideAnObjectIsFoundAndGiven(t *testing.T) {
	const (
		name = "authentication.anonymous.enabled"
		own  = "authentication:\n  anonymous:\n    enabled: %s\n  webhook:\n    enabled: true\nkind: K\n"
		none = "kind: K\n"
		made = "kind: K\nauthentication:\n  anonymous:\n    enabled: false\n"
	)
	on, off := fmt.Sprintf(own, "true"), fmt.Sprintf(own, "false")
	want := Fields{name: []byte("false")}
	tests := map[string]struct {
		original, current string
		want              Fields
		result            string
	}{
		"it is changed where it stands":                             {on, on, want, off},
		"objects are made for it":                                   {none, none, want, made},
		"what was changed comes back":                               {on, off, Fields{name: []byte("true")}, on},
		"what was made goes, and the objects with it":               {none, made, nil, none},
		"the same where somebody added something since":             {none, made + "maxPods: 5\n", nil, none + "maxPods: 5\n"},
		"it goes, and what else is in its object stays":             {on, on, nil, "authentication:\n  webhook:\n    enabled: true\nkind: K\n"},
		"what is no object, though it should be, is replaced by it": {"authentication: 5\n", "authentication: 5\n", want, "authentication:\n  anonymous:\n    enabled: false\n"},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			got, err := Rebase([]byte(test.original), []byte(test.current), []string{name}, test.want)
			require.NoError(t, err)
			require.Equal(t, test.result, string(got))
			fields, err := ParseFields(got)
			require.NoError(t, err)
			require.True(t, fields.Equal(test.want, name))
		})
	}
	require.Nil(t, Fields{"authentication": []byte("5")}.Value(name))
}

func TestARunningConfigurationIsComparedWithAFile(t *testing.T) {
	running, err := ParseConfigz([]byte(`{"kubeletconfig":{"tlsMinVersion":"VersionTLS13","tlsCipherSuites":["A","B"],"maxPods":110}}`))
	require.NoError(t, err)
	file, err := ParseFields([]byte("tlsMinVersion: VersionTLS13\ntlsCipherSuites: [A, C]\n"))
	require.NoError(t, err)
	require.True(t, running.Equal(file, "tlsMinVersion"))
	require.False(t, running.Equal(file, "tlsCipherSuites"))
	require.False(t, running.Equal(file, "maxPods"))
	require.True(t, running.Equal(file, "neither"))
	for _, bad := range []string{"", "Unauthorized", "{}"} {
		_, err = ParseConfigz([]byte(bad))
		require.Error(t, err, bad)
	}
}
