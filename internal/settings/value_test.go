package settings

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	rsa128   = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	ecdsa128 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
	rsa256   = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
)

func TestADeclaredValueIsReadBackFromTheFlagOrFieldThatItBecomes(t *testing.T) {
	for _, setting := range Managed() {
		value := Value{rsa128}
		if setting.Form == Texts {
			value = append(value, rsa256)
		}
		var declared Settings
		declared.Declare(setting, value)
		if setting.Flag != "" {
			require.Len(t, declared.APIServerFlags[setting.Flag], 1, setting.Name)
			require.Equal(t, value, setting.FromFlag(declared.APIServerFlags[setting.Flag]), setting.Name)
			require.Contains(t, ManagedAPIServerFlags(), setting.Flag)
		}
		if setting.Field != "" {
			written, err := json.Marshal(declared.KubeletFields[setting.Field])
			require.NoError(t, err)
			require.Equal(t, value, setting.FromField(written), setting.Name)
			require.Contains(t, ManagedKubeletFields(), setting.Field)
		}
	}
}

func TestWhatOthersWroteIsReadAsKubernetesDoesOrShownAsItIs(t *testing.T) {
	text, list := Setting{Form: Text}, Setting{Form: Texts}
	require.Nil(t, text.FromFlag(nil))
	require.Equal(t, Value{"b"}, text.FromFlag([]string{"a", "b"}))
	require.Nil(t, list.FromFlag(nil))
	require.Equal(t, Value{}, list.FromFlag([]string{""}))
	require.Equal(t, Value{"a", "b", "c"}, list.FromFlag([]string{"a,b", "c"}))
	require.Nil(t, text.FromField(nil))
	require.Nil(t, list.FromField([]byte("null")))
	require.Equal(t, Value{}, list.FromField([]byte("[]")))
	require.Equal(t, Value{"5"}, text.FromField([]byte("5")))
	require.Equal(t, Value{`"a"`}, list.FromField([]byte(`"a"`)))
}

func TestValuesThatCannotWorkAreRefusedWithTheReason(t *testing.T) {
	tests := map[string]struct {
		declared map[string]Value
		name     string // of the setting that is to blame
		refuse   string
	}{
		"nothing":       {},
		"a floor alone": {declared: map[string]Value{"kubelet.tls_min_version": {tls13}}},
		"a list with a suite for HTTP/2": {
			declared: map[string]Value{"apiserver.tls_cipher_suites": {rsa256, ecdsa128}, "apiserver.tls_min_version": {tls12}},
		},
		"a list beside another server's floor": {
			declared: map[string]Value{"kubelet.tls_cipher_suites": {rsa128}, "apiserver.tls_min_version": {tls13}},
		},
		"insecure suites and old names that Kubernetes takes": {
			declared: map[string]Value{"kubelet.tls_cipher_suites": {
				rsa128, "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
			}},
		},
		"a version of old": {
			declared: map[string]Value{"apiserver.tls_min_version": {"VersionTLS11"}},
			name:     "apiserver.tls_min_version", refuse: `"VersionTLS11" is none of VersionTLS12, VersionTLS13`,
		},
		"a suite that nobody knows": {
			declared: map[string]Value{"kubelet.tls_cipher_suites": {rsa128, "ECDHE-RSA-AES128-GCM-SHA256"}},
			name:     "kubelet.tls_cipher_suites", refuse: `"ECDHE-RSA-AES128-GCM-SHA256" is no cipher suite that Kubernetes knows`,
		},
		"a suite twice": {
			declared: map[string]Value{"kubelet.tls_cipher_suites": {rsa128, rsa256, rsa128}},
			name:     "kubelet.tls_cipher_suites", refuse: rsa128 + " is there twice",
		},
		"no suite": {
			declared: map[string]Value{"apiserver.tls_cipher_suites": {}},
			name:     "apiserver.tls_cipher_suites", refuse: "the list is empty",
		},
		"suites that the floor leaves without effect": {
			declared: map[string]Value{"apiserver.tls_cipher_suites": {rsa128}, "apiserver.tls_min_version": {tls13}},
			name:     "apiserver.tls_cipher_suites", refuse: `with tls_min_version = "VersionTLS13" the list would be ignored`,
		},
		"suites that HTTP/2 can't do with": {
			declared: map[string]Value{"apiserver.tls_cipher_suites": {rsa256}},
			name:     "apiserver.tls_cipher_suites", refuse: "lacks what HTTP/2 demands",
		},
		"the same for kubelets": {
			declared: map[string]Value{"kubelet.tls_cipher_suites": {rsa256}},
			name:     "kubelet.tls_cipher_suites", refuse: "lacks what HTTP/2 demands",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := Check(test.declared)
			if test.refuse == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, test.name, problems[0].Name)
			require.ErrorContains(t, problems[0].Err, test.refuse)
		})
	}
}

// Go's own server is the one that apiservers and kubelets have: what we say of it is asked of it.
func TestGosServerInsistsOnASuiteForHTTP2AsWeDo(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	for _, suites := range [][]uint16{
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	} {
		value := Value{}
		for _, suite := range suites {
			value = append(value, tls.CipherSuiteName(suite))
		}
		server := &http.Server{ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{
			Certificates: certificate.TLS.Certificates, MinVersion: tls.VersionTLS12, CipherSuites: suites,
		}}
		require.NoError(t, server.Close()) // so that a server that would start ends at once
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		err = server.ServeTLS(listener, "", "")
		if len(Check(map[string]Value{"kubelet.tls_cipher_suites": value})) > 0 {
			require.ErrorContains(t, err, "missing an HTTP/2-required AES_128_GCM_SHA256 cipher")
			continue
		}
		require.ErrorIs(t, err, http.ErrServerClosed)
	}
}
