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
	samples := map[Form]Value{
		Text: {rsa128}, Texts: {rsa128, rsa256}, Each: {"https://a", "https://b"}, Switch: {"false"}, Number: {"0"},
		Duration: {"1h0m0s"}, Curves: {"X25519MLKEM768", "CurveP256"},
	}
	for _, setting := range Managed() {
		if setting.Document != "" {
			continue // see TestEveryPartOfAFileIsReadBackFromIt
		}
		value := samples[setting.Form]
		require.NotEmpty(t, value, setting.Name)
		var declared Settings
		declared.Declare(setting, value)
		if setting.Flag != "" {
			require.Equal(t, value, setting.FromFlag(declared.Flags[setting.Component][setting.Flag]), setting.Name)
			require.Contains(t, ManagedFlags(setting.Component), setting.Flag)
		}
		if setting.Field != "" {
			written, err := json.Marshal(declared.KubeletFields[setting.Field])
			require.NoError(t, err)
			require.Equal(t, value, setting.FromField(written), setting.Name)
			require.Contains(t, ManagedKubeletFields(), setting.Field)
		}
	}
}

func TestFlagsAndFieldsAreWrittenAsKubernetesTakesThem(t *testing.T) {
	tests := map[string]struct {
		form  Form
		value Value
		flag  []string
		field string
	}{
		"a text":                              {Text, Value{"a"}, []string{"a"}, `"a"`},
		"a list":                              {Texts, Value{"a", "b"}, []string{"a,b"}, `["a","b"]`},
		"an empty list":                       {Texts, Value{}, []string{""}, `[]`},
		"a list whose flag is given for each": {Each, Value{"a", "b"}, []string{"a", "b"}, `["a","b"]`},
		"a switch":                            {Switch, Value{"false"}, []string{"false"}, `false`},
		"a number":                            {Number, Value{"10255"}, []string{"10255"}, `10255`},
		"a duration, as Kubernetes says it":   {Duration, Value{"90m"}, []string{"1h30m0s"}, `"1h30m0s"`},
		"key exchange mechanisms":             {Curves, Value{"X25519MLKEM768", "X25519"}, []string{"4588,29"}, `[4588,29]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			setting := Setting{Form: test.form}
			require.Equal(t, test.flag, setting.flag(test.value))
			written, err := json.Marshal(setting.field(test.value))
			require.NoError(t, err)
			require.Equal(t, test.field, string(written))
			require.True(t, setting.Same(test.value, setting.FromFlag(test.flag)))
		})
	}
}

func TestSpellingsOfTheSameAreTheSame(t *testing.T) {
	length, on := Setting{Form: Duration}, Setting{Form: Switch}
	require.True(t, length.Same(Value{"60m"}, Value{"1h"}))
	require.False(t, length.Same(Value{"60m"}, Value{"61m"}))
	require.False(t, length.Same(nil, Value{"0s"}))
	require.True(t, length.Same(Value{"soon"}, Value{"soon"}))
	require.True(t, on.Same(Value{"true"}, on.FromFlag([]string{"1"})))
	require.False(t, Setting{Form: Texts}.Same(nil, Value{}), "no list is another thing than an empty one")
	require.False(t, Setting{Form: Texts}.Same(Value{"a", "b"}, Value{"b", "a"}), "order counts")
}

func TestWhatOthersWroteIsReadAsKubernetesDoesOrShownAsItIs(t *testing.T) {
	text, list, curves := Setting{Form: Text}, Setting{Form: Texts}, Setting{Form: Curves}
	require.Equal(t, Value{"X25519", "4711"}, curves.FromFlag([]string{"29,4711"}))
	require.Equal(t, Value{"X25519", "4711"}, curves.FromField([]byte("[29, 4711]")))
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
		"modes that let nobody down": {declared: map[string]Value{"apiserver.authorization_modes": {"RBAC", "Node"}}},
		"a mode that allows everything": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node", "RBAC", "AlwaysAllow"}},
			name:     "apiserver.authorization_modes", refuse: "AlwaysAllow lets every client do everything",
		},
		"a mode that denies everything": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node", "RBAC", "AlwaysDeny"}},
			name:     "apiserver.authorization_modes", refuse: "AlwaysDeny lets no client do anything",
		},
		"a mode that needs a file": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node", "RBAC", "Webhook"}},
			name:     "apiserver.authorization_modes", refuse: "Webhook needs a file of its own",
		},
		"modes without Node": {
			declared: map[string]Value{"apiserver.authorization_modes": {"RBAC"}},
			name:     "apiserver.authorization_modes", refuse: "without Node, no kubelet could work",
		},
		"modes without RBAC": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node"}},
			name:     "apiserver.authorization_modes", refuse: "without RBAC, nobody but kubelets",
		},
		"no mode": {
			declared: map[string]Value{"apiserver.authorization_modes": {}},
			name:     "apiserver.authorization_modes", refuse: "without Node",
		},
		"a mode misspelt": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node", "Rbac"}},
			name:     "apiserver.authorization_modes", refuse: `"Rbac" is no authorization mode that Kubernetes knows`,
		},
		"a mode twice": {
			declared: map[string]Value{"apiserver.authorization_modes": {"Node", "RBAC", "Node"}},
			name:     "apiserver.authorization_modes", refuse: "Node is there twice",
		},
		"plugins with NodeRestriction": {
			declared: map[string]Value{"apiserver.admission_plugins": {"NodeRestriction", "AlwaysPullImages"}},
		},
		"plugins without NodeRestriction": {
			declared: map[string]Value{"apiserver.admission_plugins": {"AlwaysPullImages"}},
			name:     "apiserver.admission_plugins", refuse: "without NodeRestriction, each kubelet could change other nodes",
		},
		"a plugin that nobody knows": {
			declared: map[string]Value{"apiserver.admission_plugins": {"NodeRestriction", "PodSecurityPolicy"}},
			name:     "apiserver.admission_plugins", refuse: `"PodSecurityPolicy" is no admission plugin that Kubernetes knows`,
		},
		"a plugin that admits everything": {
			declared: map[string]Value{"apiserver.admission_plugins": {"NodeRestriction", "AlwaysAdmit"}},
			name:     "apiserver.admission_plugins", refuse: "AlwaysAdmit makes the other plugins pointless",
		},
		"a plugin that needs a file": {
			declared: map[string]Value{"apiserver.admission_plugins": {"NodeRestriction", "EventRateLimit"}},
			name:     "apiserver.admission_plugins", refuse: "EventRateLimit needs a file of its own",
		},
		"a plugin that is both on and off": {
			declared: map[string]Value{
				"apiserver.admission_plugins":          {"NodeRestriction", "AlwaysPullImages"},
				"apiserver.disabled_admission_plugins": {"AlwaysPullImages"},
			},
			name: "apiserver.admission_plugins", refuse: "AlwaysPullImages is among disabled_admission_plugins too",
		},
		"no plugin off": {declared: map[string]Value{"apiserver.disabled_admission_plugins": {}}},
		"a plugin off that gives pods their credentials": {
			declared: map[string]Value{"apiserver.disabled_admission_plugins": {"ServiceAccount"}},
			name:     "apiserver.disabled_admission_plugins", refuse: "without ServiceAccount, pods would get no credentials",
		},
		"a plugin off that a swap needs": {
			declared: map[string]Value{"apiserver.disabled_admission_plugins": {"ValidatingAdmissionPolicy"}},
			name:     "apiserver.disabled_admission_plugins", refuse: "could not be replaced without an outage",
		},
		"two issuers": {
			declared: map[string]Value{"apiserver.service_account_issuers": {"https://new.example", "https://old.example/path"}},
		},
		"no issuer": {
			declared: map[string]Value{"apiserver.service_account_issuers": {}},
			name:     "apiserver.service_account_issuers", refuse: "tokens need an issuer",
		},
		"an issuer twice": {
			declared: map[string]Value{"apiserver.service_account_issuers": {"https://a", "https://a"}},
			name:     "apiserver.service_account_issuers", refuse: "https://a is there twice",
		},
		"an issuer without TLS": {
			declared: map[string]Value{"apiserver.service_account_issuers": {"http://a.example"}},
			name:     "apiserver.service_account_issuers", refuse: `"http://a.example" is not the URL of an issuer`,
		},
		"tokens for less than an hour": {
			declared: map[string]Value{"apiserver.service_account_max_token_expiration": {"10m"}},
			name:     "apiserver.service_account_max_token_expiration", refuse: "10m is out of bounds: at least 1h",
		},
		"a duration in days": {
			declared: map[string]Value{"apiserver.service_account_max_token_expiration": {"30d"}},
			name:     "apiserver.service_account_max_token_expiration", refuse: `"30d" is not a duration such as "1h"`,
		},
		"requests that would end at once": {
			declared: map[string]Value{"apiserver.request_timeout": {"0s"}},
			name:     "apiserver.request_timeout", refuse: "0s is out of bounds: at least 5s and at most 1h",
		},
		"a fraction of a second": {
			declared: map[string]Value{"apiserver.request_timeout": {"10.5s"}},
			name:     "apiserver.request_timeout", refuse: "not a whole number of seconds",
		},
		"key exchange for everyone": {
			declared: map[string]Value{"apiserver.tls_curve_preferences": {"X25519MLKEM768", "X25519"}},
		},
		"no key exchange": {
			declared: map[string]Value{"kubelet.tls_curve_preferences": {}},
			name:     "kubelet.tls_curve_preferences", refuse: "the list is empty",
		},
		"key exchange by a name of OpenSSL's": {
			declared: map[string]Value{"kubelet.tls_curve_preferences": {"prime256v1"}},
			name:     "kubelet.tls_curve_preferences", refuse: `"prime256v1" is no key exchange mechanism`,
		},
		"key exchange that few clients know": {
			declared: map[string]Value{"apiserver.tls_curve_preferences": {"X25519MLKEM768"}},
			name:     "apiserver.tls_curve_preferences", refuse: "add one of X25519, CurveP256",
		},
		"kubelets that let everyone in": {
			declared: map[string]Value{"kubelet.anonymous": {"true"}},
			name:     "kubelet.anonymous", refuse: "true is not allowed, because whoever reaches a kubelet",
		},
		"kubelets that allow everything": {
			declared: map[string]Value{"kubelet.authorization_mode": {"AlwaysAllow"}},
			name:     "kubelet.authorization_mode", refuse: `"AlwaysAllow" is none of Webhook`,
		},
		"kubelets that tell everyone of their pods": {
			declared: map[string]Value{"kubelet.read_only_port": {"10255"}},
			name:     "kubelet.read_only_port", refuse: "10255 is not allowed",
		},
		"kubelets that lose their way": {
			declared: map[string]Value{"kubelet.rotate_certificates": {"false"}},
			name:     "kubelet.rotate_certificates", refuse: "lose its way to the apiserver",
		},
		"kubelets without logs": {
			declared: map[string]Value{"kubelet.debugging_handlers": {"false"}},
			name:     "kubelet.debugging_handlers", refuse: "logs, exec, attach and port-forward",
		},
		"etcd's metrics where its probes ask": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://127.0.0.1:2381"}},
		},
		"etcd's metrics for everyone": {declared: map[string]Value{"etcd.listen_metrics_urls": {"http://0.0.0.0:2381"}}},
		"etcd's metrics for everyone by TLS too": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://127.0.0.1:2381", "https://0.0.0.0:2382"}},
		},
		"etcd's metrics on an IPv6 cluster": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://[::1]:2381", "http://127.0.0.1:2381"}},
		},
		"no metrics of etcd's": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {}},
			name:     "etcd.listen_metrics_urls", refuse: "without http://127.0.0.1:2381",
		},
		"etcd's metrics at another port than its probes ask at": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://127.0.0.1:2382"}},
			name:     "etcd.listen_metrics_urls", refuse: "the probes by which the kubelet looks after etcd would fail",
		},
		"etcd's metrics at another address than its probes ask at": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://[::1]:2381", "http://192.0.2.1:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: "without http://127.0.0.1:2381",
		},
		"etcd's metrics by TLS where its probes speak none": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"https://127.0.0.1:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: "without http://127.0.0.1:2381",
		},
		"etcd's metrics first where a new control plane's probes can't ask": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://192.0.2.1:2381", "http://127.0.0.1:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: "http://192.0.2.1:2381 is the first",
		},
		"etcd's metrics twice at a port": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://127.0.0.1:2381", "http://0.0.0.0:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: "http://127.0.0.1:2381 and http://0.0.0.0:2381 are the same to listen at",
		},
		"etcd's metrics at a name": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://localhost:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: `"http://localhost:2381" must be an address and a port`,
		},
		"etcd's metrics at an address alone": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"127.0.0.1:2381"}},
			name:     "etcd.listen_metrics_urls", refuse: `"127.0.0.1:2381" is not the URL of an address and a port`,
		},
		"etcd's metrics at a path": {
			declared: map[string]Value{"etcd.listen_metrics_urls": {"http://127.0.0.1:2381/metrics"}},
			name:     "etcd.listen_metrics_urls", refuse: "and nothing else",
		},
		"sessions that never end": {
			declared: map[string]Value{"kubelet.streaming_idle_timeout": {"0s"}},
			name:     "kubelet.streaming_idle_timeout", refuse: "0s is out of bounds: at least 1m and at most 24h",
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

func TestWhatAVersionLacksIsRefused(t *testing.T) {
	declared := map[string]Value{
		"kubelet.tls_curve_preferences": {"X25519"}, "kubelet.tls_min_version": {tls12}, "apiserver.tls_curve_preferences": {"X25519"},
	}
	require.True(t, VersionMatters(declared))
	require.False(t, VersionMatters(map[string]Value{"kubelet.tls_min_version": {tls12}}))
	require.Empty(t, CheckVersion(declared, 36))
	problems := CheckVersion(declared, 35)
	require.Len(t, problems, 2)
	require.Equal(t, "apiserver.tls_curve_preferences", problems[0].Name)
	require.EqualError(t, problems[0].Err, "the cluster runs Kubernetes 1.35, and 1.36 is the first that has it; leave it out")
}

func TestAClusterOlderThanWhatIsKnownIsRefused(t *testing.T) {
	require.NoError(t, CheckCluster(OldestMinor))
	require.EqualError(t, CheckCluster(OldestMinor-1), "it runs Kubernetes 1.33, and 1.34 is the oldest that kubecomm knows")
	for _, setting := range Table() {
		require.True(t, setting.Since == 0 || setting.Since > OldestMinor, "%s: every known version has it", setting.Name)
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
