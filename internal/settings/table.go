package settings

import "fmt"

const (
	swaps    = "each apiserver is replaced in turn, without an outage"
	reloads  = "kubelets take up new certificate files while they run"
	restarts = "kubelets restart, while their pods go on"

	toAPIServer = "every client's way to the apiserver"
	toKubelet   = "apiserver → kubelet, and other clients' way to the kubelet's API"
)

// Table lists every setting.
func Table() []Setting {
	defaults := Defaults()
	return []Setting{
		{
			Name: "apiserver.verify_kubelets",
			Meaning: "Whether every apiserver verifies the serving certificates of the kubelets that it connects to, by " +
				"`--kubelet-certificate-authority`.",
			Protects:    "apiserver → kubelet: logs, exec, attach, port-forward and the node proxy",
			TakesEffect: swaps,
			Default:     fmt.Sprint(defaults.VerifyKubelets),
		},
		{
			Name: "apiserver.tls_min_version",
			Meaning: "The oldest version of TLS that apiservers accept, `VersionTLS12` or `VersionTLS13`, by " +
				"`--tls-min-version`.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "tls-min-version",
			Form:        Text,
			check:       oneOf(tls12, tls13),
		},
		{
			Name: "apiserver.tls_cipher_suites",
			Meaning: "The cipher suites that apiservers accept with TLS 1.2, by Go's names for them, by " +
				"`--tls-cipher-suites`. HTTP/2 demands `" + http2Suites()[0] + "` or `" + http2Suites()[1] + "` among them. " +
				"Not together with `tls_min_version = \"VersionTLS13\"`, whose suites can't be chosen.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "tls-cipher-suites",
			Form:        Texts,
			check:       checkCipherSuites,
		},
		{
			Name: "kubelet.serving_certificates.source",
			Meaning: "Where kubelets get their serving certificates from. `dedicated_ca`: from a CA that kubecomm makes " +
				"for this purpose alone and whose key exists on control-plane nodes only.",
			Protects:    "apiserver → kubelet",
			TakesEffect: reloads,
			Default:     string(defaults.ServingSource),
		},
		{
			Name: "kubelet.serving_certificates.validity",
			Meaning: "How long a serving certificate is valid, as a duration such as `8760h`. Once two thirds of it are " +
				"over, the next plan renews the certificate.",
			Protects:    "apiserver → kubelet",
			TakesEffect: reloads,
			Default:     FormatValidity(defaults.ServingValidity),
		},
		{
			Name: "kubelet.tls_min_version",
			Meaning: "The oldest version of TLS that kubelets accept, `VersionTLS12` or `VersionTLS13`, by `tlsMinVersion` " +
				"in their configuration.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "tlsMinVersion",
			Form:        Text,
			check:       oneOf(tls12, tls13),
		},
		{
			Name: "kubelet.tls_cipher_suites",
			Meaning: "The cipher suites that kubelets accept with TLS 1.2, by Go's names for them, by `tlsCipherSuites` in " +
				"their configuration. The rules are those of `apiserver.tls_cipher_suites`.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "tlsCipherSuites",
			Form:        Texts,
			check:       checkCipherSuites,
		},
		{
			Name: "kubelet.max_parallel_restarts",
			Meaning: "How many kubelets may be restarted at once, where a change restarts kubelets. The first restart is " +
				"made alone, to show that the configuration works at all; then as many at once.",
			Default: fmt.Sprint(defaults.KubeletRestarts),
		},
	}
}
