package settings

// Where apiservers' side of the way to kubelets is found, and what tells how it stands.
const (
	verifiesBy = "`--kubelet-certificate-authority` of `kube-apiserver`: in its manifest on every control plane, with the file " +
		"of certificates, `kubelet-ca-*.crt`, that it names there"
	verifiesSeenBy = "the command line of the running process, the manifest that the next one will have, and the certificates " +
		"in the file"
	identifiesBy = "the certificate and the key `/etc/kubernetes/pki/apiserver-kubelet-client.*` on every control plane, and " +
		"ClusterRoleBinding `kubeadm:apiserver-kubelet-client`, or of a custom identity `kubecomm:apiserver-kubelet-client`"
	identifiesSeenBy = "whom the certificate names, whether kubelets accept it, and which ClusterRoles are bound to that user"
)

func apiserverTable() []Setting {
	return []Setting{
		{
			Name: "apiserver.verify_kubelets",
			Meaning: "Whether every apiserver verifies the serving certificates of the kubelets that it connects to, by " +
				"`--kubelet-certificate-authority`.",
			Protects:    "apiserver → kubelet: logs, exec, attach, port-forward and the node proxy",
			TakesEffect: swaps,
			lives:       verifiesBy,
			observed:    verifiesSeenBy,
			Form:        Switch,
			CIS:         []string{"1.2.5"},
			Baseline:    Value{"true"},
		},
		{
			Name: NameKubeletCAs,
			Meaning: "CAs, in PEM, whose certificates apiservers accept from kubelets besides those of `kubelet_ca`. Each of " +
				"them can issue what passes for any kubelet.",
			Protects:    "apiserver → kubelet",
			TakesEffect: swaps,
			lives:       verifiesBy,
			observed:    verifiesSeenBy,
			Form:        Certificates,
			check:       checkBundle("it is empty; leave it out, or name a CA"),
		},
		{
			Name: NameKubeletClient,
			Meaning: "Who apiservers are at kubelets, by the certificate that they show there: `kubeadm`, what it was before; " +
				"`kubelet_api_admin`, a user of no group to whom ClusterRole `system:kubelet-api-admin` is bound, in place of a " +
				"member of `kubeadm:cluster-admins` or `system:masters`, as clusters have it that were made before Kubernetes " +
				"1.36; `custom`, a user of kubecomm's to whom `kubelet_client_cluster_role` is bound. The cluster's own CA " +
				"signs the certificate, and `kubeadm certs renew` goes on renewing it. Anything else that is found shows as " +
				"`cluster_admin`, `unbound` (nothing lets it in), `refused` (expired, or of another CA) or `unknown`.",
			Protects:    "apiserver → kubelet, from what a stolen client certificate is good for",
			TakesEffect: identifies,
			lives:       identifiesBy,
			observed:    identifiesSeenBy,
			Form:        Text,
			CIS:         []string{"1.2.4"},
			check:       oneOf(string(KubeadmIdentity), string(KubeletAPIAdmin), string(CustomIdentity)),
			Baseline:    Value{string(KubeletAPIAdmin)},
		},
		{
			Name: NameKubeletClientRole,
			Meaning: "The ClusterRole that `kubelet_client_identity = \"custom\"` is bound to, by a ClusterRoleBinding " +
				"`kubecomm:apiserver-kubelet-client`. It must be there before the apply, and allow `get` and `create` on " +
				"`nodes/proxy`, or kubelets would refuse logs and exec.",
			Protects:    "apiserver → kubelet, from what a stolen client certificate is good for",
			TakesEffect: identifies,
			lives:       "ClusterRoleBinding `kubecomm:apiserver-kubelet-client`",
			observed:    identifiesSeenBy,
			Form:        Text,
			check:       checkNotEmpty,
		},
		{
			Name: "apiserver.authorization_modes",
			Meaning: "Who decides what an authenticated client may do, one asked after the other, by " +
				"`--authorization-mode`. Without `Node` no kubelet could work, and without `RBAC` nobody else.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "authorization-mode",
			Form:        Texts,
			CIS:         []string{"1.2.6", "1.2.7", "1.2.8"},
			check:       checkModes,
			Baseline:    Value{"Node", "RBAC"},
		},
		{
			Name: "apiserver.admission_plugins",
			Meaning: "The admission plugins that are on besides those that Kubernetes has on by default, by " +
				"`--enable-admission-plugins`. `NodeRestriction`, which keeps a kubelet to its own node, must be among them.",
			Protects:    "node → apiserver",
			TakesEffect: swaps,
			Flag:        "enable-admission-plugins",
			Form:        Texts,
			CIS:         []string{"1.2.10", "1.2.14"},
			check:       checkPlugins,
			Baseline:    Value{inList + nodeRestriction.without},
		},
		{
			Name: "apiserver.disabled_admission_plugins",
			Meaning: "The admission plugins that are off though Kubernetes has them on by default, by " +
				"`--disable-admission-plugins`. Those that other paths rely on can't be among them.",
			Protects:    "pod → apiserver",
			TakesEffect: swaps,
			Flag:        "disable-admission-plugins",
			Form:        Texts,
			CIS:         []string{"1.2.12", "1.2.13"},
			check:       checkDisabledPlugins,
			Baseline:    Value{notInList + nodeRestriction.without, notInList + serviceAccount.without},
		},
		{
			Name: "apiserver.service_account_issuers",
			Meaning: "Who service account tokens say that they were issued by, by `--service-account-issuer`. The first is " +
				"in new tokens; tokens of any of them are accepted, so that an issuer can be replaced: declare the new one " +
				"before the old one, and leave out the old one when its tokens have ended.",
			Protects:    "pod → apiserver",
			TakesEffect: swaps,
			Flag:        "service-account-issuer",
			Form:        Each,
			check:       checkIssuers,
		},
		{
			Name: "apiserver.service_account_extend_token_expiration",
			Meaning: "Whether the tokens that are mounted into pods are good for a year in place of the hour that they are " +
				"asked for, by `--service-account-extend-token-expiration`.",
			Protects:    "pod → apiserver",
			TakesEffect: swaps,
			Flag:        "service-account-extend-token-expiration",
			Form:        Switch,
			CIS:         []string{"1.2.30"},
			Restricted:  Value{"false"},
		},
		{
			Name: "apiserver.service_account_max_token_expiration",
			Meaning: "The longest that a service account token may be good for, as a duration such as `24h`, by " +
				"`--service-account-max-token-expiration`. One that is asked for longer is good for this long.",
			Protects:    "pod → apiserver",
			TakesEffect: swaps,
			Flag:        "service-account-max-token-expiration",
			Form:        Duration,
			check:       between(minTokenExpiration, maxTokenExpiration),
			Restricted:  Value{"24h"},
		},
		{
			Name: "apiserver.service_account_lookup",
			Meaning: "Whether a service account token from a secret, which doesn't end by itself, is refused once the service " +
				"account or the secret is deleted, by `--service-account-lookup`. Tokens that do end are always refused then.",
			Protects:    "pod → apiserver",
			TakesEffect: swaps,
			Flag:        "service-account-lookup",
			Form:        Switch,
			CIS:         []string{"1.2.21"},
			Restricted:  Value{"true"},
		},
		{
			Name: "apiserver.request_timeout",
			Meaning: "How long a request may take that isn't a watch or a stream, as a duration such as `1m`, by " +
				"`--request-timeout`.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "request-timeout",
			Form:        Duration,
			CIS:         []string{"1.2.20"},
			check:       between(minRequestTimeout, maxRequestTimeout),
			Restricted:  Value{"1m"},
		},
		{
			Name:        "apiserver.profiling",
			Meaning:     "Whether apiservers serve profiles of themselves at `/debug/pprof/`, by `--profiling`.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "profiling",
			Form:        Switch,
			CIS:         []string{"1.2.15"},
			Baseline:    Value{"false"},
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
			Restricted:  Value{tls13},
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
			CIS:         []string{"1.2.29"},
			check:       checkCipherSuites,
		},
		{
			Name: "apiserver.tls_curve_preferences",
			Meaning: "The key exchange mechanisms that apiservers accept, by Go's names for them, by " +
				"`--tls-curve-preferences`. `X25519MLKEM768` is one that a quantum computer doesn't break.",
			Protects:    toAPIServer,
			TakesEffect: swaps,
			Flag:        "tls-curve-preferences",
			Form:        Curves,
			Since:       curvesSince,
			check:       checkCurves,
		},
	}
}
