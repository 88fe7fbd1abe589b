package settings

import "fmt"

// Where serving certificates are found, and what tells how they stand.
const (
	servesBy     = "kubelets' certificate and key under `/var/lib/kubelet/pki` on every node"
	servesSeenBy = "the certificate that each kubelet shows to a TLS client, and its files"
)

func kubeletTable() []Setting {
	defaults := Defaults()
	return []Setting{
		{
			Name: "kubelet.serving_certificates.source",
			Meaning: "Where kubelets get their serving certificates from. `dedicated_ca`: from a CA that kubecomm makes " +
				"for this purpose alone and whose key exists on control-plane nodes only, or with `kubelet_serving_ca`, from a " +
				"CA of your own; kubecomm issues them, and renews them when it is applied. `csr`: from the CA that kubecomm " +
				"makes, but kubelets request them by `serverTLSBootstrap`, and renew them by themselves, as CIS 1.3.6 and 4.2.11 " +
				"have it; the controller manager signs, and what is signed is approved on control planes by a small program of " +
				"kubecomm's, which compares each request with the addresses that the container engine gave the node. `provided`: " +
				"you make them, for each node, and declare them in `kubelet_serving_certificates`.",
			Protects:    "apiserver → kubelet",
			TakesEffect: requests,
			lives:       servesBy + "; with `csr` also `serverTLSBootstrap` of their configuration, and what approves and signs",
			observed:    servesSeenBy,
			Form:        Text,
			CIS:         []string{"1.3.6", "4.2.9", "4.2.11"},
			Baseline:    Value{string(defaults.ServingSource)},
		},
		{
			Name: "kubelet.serving_certificates.validity",
			Meaning: "How long a serving certificate is valid, as a duration such as `8760h`. Once two thirds of it are " +
				"over, the next plan renews the certificate. It can't be given with the source `csr`, where the controller " +
				"manager's `--cluster-signing-duration` says how long.",
			Protects:    "apiserver → kubelet",
			TakesEffect: reloads,
			lives:       servesBy,
			observed:    servesSeenBy,
			Default:     FormatValidity(defaults.ServingValidity),
		},
		{
			Name: NameRotation,
			Meaning: "A text, such as `2` or the `id` of a `time_rotating`, of at most 64 characters. When it becomes another, " +
				"a new CA takes the old one's place, as it does by itself once two thirds of the old one's ten years are over: " +
				"apiservers are replaced by ones that trust both, then kubelets get certificates of the new one, then apiservers " +
				"are replaced by ones that trust the new one alone. Logs, exec, attach and port-forward work all the time. To " +
				"leave it out changes nothing.",
			Protects:    "apiserver → kubelet",
			TakesEffect: rotates,
			lives:       "the certificate of kubecomm's CA on every control plane, as its subject's serial number",
			observed:    "that certificate",
			Default:     "null",
		},
		{
			Name: "kubelet.anonymous",
			Meaning: "Whether kubelets take a request without credentials for one of the user `system:anonymous`, in place " +
				"of refusing it, by `authentication.anonymous.enabled` in their configuration.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "authentication.anonymous.enabled",
			Form:        Switch,
			CIS:         []string{"4.2.1"},
			check:       only("false", "whoever reaches a kubelet would be let in as system:anonymous"),
			Baseline:    Value{"false"},
		},
		{
			Name: "kubelet.webhook_authentication",
			Meaning: "Whether kubelets ask the apiserver whose a bearer token is, by `authentication.webhook.enabled` in " +
				"their configuration. Without, metrics collectors can't authenticate by their service accounts.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "authentication.webhook.enabled",
			Form:        Switch,
			Baseline:    Value{"true"},
		},
		{
			Name: NameKubeletClientCA,
			Meaning: "The CAs whose client certificates kubelets accept, in PEM, by `authentication.x509.clientCAFile` in their " +
				"configuration. Those of the apiservers' certificates must be among them, without which logs and exec would end, " +
				"and that of the cluster administrator's, as which kubecomm asks kubelets what they run with. A node that joins " +
				"later has the CA of kubeadm's until the next apply. To replace a CA, declare the new one with the old one, then " +
				"the new one alone.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Document:    KubeletClientCAField,
			Form:        Certificates,
			CIS:         []string{"4.2.3"},
			check:       checkBundle("it is empty, and so no client certificate would be accepted, not the apiservers' either"),
		},
		{
			Name: "kubelet.authorization_mode",
			Meaning: "Who decides what an authenticated client may do at a kubelet, by `authorization.mode` in their " +
				"configuration. `Webhook`: the apiserver is asked.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "authorization.mode",
			Form:        Text,
			CIS:         []string{"4.2.2"},
			check:       oneOf("Webhook"),
			Baseline:    Value{"Webhook"},
		},
		{
			Name: "kubelet.read_only_port",
			Meaning: "The port at which kubelets tell of their pods without authentication, by `readOnlyPort` in their " +
				"configuration. `0` for none.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "readOnlyPort",
			Form:        Number,
			CIS:         []string{"4.2.4"},
			check:       only("0", "whoever reaches a node could read what its pods run with"),
			Baseline:    Value{"0"},
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
			Restricted:  Value{tls13},
		},
		{
			Name: "kubelet.tls_cipher_suites",
			Meaning: "The cipher suites that kubelets accept with TLS 1.2, by Go's names for them, by `tlsCipherSuites` in " +
				"their configuration. The rules are those of `apiserver.tls_cipher_suites`.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "tlsCipherSuites",
			Form:        Texts,
			CIS:         []string{"4.2.12"},
			check:       checkCipherSuites,
		},
		{
			Name: "kubelet.tls_curve_preferences",
			Meaning: "The key exchange mechanisms that kubelets accept, by Go's names for them, by `tlsCurvePreferences` in " +
				"their configuration.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "tlsCurvePreferences",
			Form:        Curves,
			Since:       curvesSince,
			check:       checkCurves,
		},
		{
			Name: "kubelet.rotate_certificates",
			Meaning: "Whether kubelets replace the certificates by which they authenticate at the apiserver before these " +
				"end, by `rotateCertificates` in their configuration.",
			Protects:    "kubelet → apiserver",
			TakesEffect: restarts,
			Field:       "rotateCertificates",
			Form:        Switch,
			CIS:         []string{"4.2.10"},
			check:       only("true", "a node would lose its way to the apiserver when its certificate ends"),
			Baseline:    Value{"true"},
		},
		{
			Name: "kubelet.streaming_idle_timeout",
			Meaning: "How long an exec, attach or port-forward session may be silent until a kubelet ends it, as a duration " +
				"such as `4h`, by `streamingConnectionIdleTimeout` in their configuration. Kubelets of 1.34 to 1.37 take it and " +
				"don't heed it: their sessions are the container runtime's, whose own limit counts.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "streamingConnectionIdleTimeout",
			Form:        Duration,
			CIS:         []string{"4.2.5"},
			check:       between(minIdleTimeout, maxIdleTimeout),
			Restricted:  Value{"30m"},
		},
		{
			Name: "kubelet.debugging_handlers",
			Meaning: "Whether kubelets serve logs, exec, attach and port-forward, by `enableDebuggingHandlers` in their " +
				"configuration.",
			Protects:    toKubelet,
			TakesEffect: restarts,
			Field:       "enableDebuggingHandlers",
			Form:        Switch,
			check:       only("true", "logs, exec, attach and port-forward, which kubecomm is for, would end"),
			Baseline:    Value{"true"},
		},
		{
			Name: "kubelet.max_parallel_restarts",
			Meaning: "How many kubelets may be restarted at once, where a change restarts kubelets. The first restart is " +
				"made alone, to show that the configuration works at all; then as many at once.",
			lives:    "in Terraform's configuration alone: it says how an apply goes on, and not how a cluster is",
			observed: "nothing on nodes; drift there is none",
			Default:  fmt.Sprint(defaults.KubeletRestarts),
		},
	}
}
