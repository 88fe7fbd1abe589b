package faults

const (
	preparedFolder = "/etc/kubernetes/pki/faults" // under what apiservers mount
	clusterCACopy  = preparedFolder + "/cluster-ca.crt"
	kubeletCACopy  = preparedFolder + "/kubelet-ca.crt"
	preparedFile   = preparedFolder + "/prepared"
	unmountedFile  = "/etc/kubernetes/kubecomm-faults.crt" // which apiservers don't mount
)

const (
	staging      = "stage the manifests"
	provingTrial = "prove the trial"
	seeing       = "see that the kubelet works with it"
)

// refusals are declarations that don't work.
func refusals() []refusal {
	return []refusal{
		{
			name:  "a kubelet CA that did not sign the kubelets",
			flags: map[string]string{"kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt"},
			phase: provingTrial, says: []string{"tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		},
		{
			name: "a kubelet CA that has expired", prepare: reissueKubeletCA(-hour),
			flags: map[string]string{"kubelet-certificate-authority": kubeletCACopy},
			phase: provingTrial, says: []string{"tls: failed to verify certificate: x509: certificate has expired"},
		},
		{
			name:  "a kubelet CA that isn't there",
			flags: map[string]string{"kubelet-certificate-authority": preparedFolder + "/none.crt"},
			phase: provingTrial, says: []string{preparedFolder + "/none.crt: no such file or directory"},
		},
		{
			name: "a kubelet CA that is no PEM", prepare: prepare("not a certificate\n"),
			flags: map[string]string{"kubelet-certificate-authority": preparedFile},
			phase: provingTrial, says: []string{"unable to load root certificates: unable to parse bytes as PEM block"},
		},
		{
			name: "a client CA that the apiserver can't read", prepare: copyUnmounted,
			flags: map[string]string{"client-ca-file": unmountedFile},
			phase: provingTrial, says: []string{"open " + unmountedFile + ": no such file or directory"},
		},
		{
			name: "a client CA that did not sign the administrator's certificate", prepare: strangerCA,
			flags: map[string]string{"client-ca-file": preparedFile},
			phase: provingTrial, says: []string{"Unauthorized", "x509: certificate signed by unknown authority"},
		},
		{
			name: "a client CA that has expired", prepare: reissueClusterCA(-hour),
			flags: map[string]string{"client-ca-file": clusterCACopy},
			phase: provingTrial, says: []string{"Unauthorized", "x509: certificate has expired or is not yet valid"},
		},
		{
			name:  "cipher suites that exclude what HTTP 2 demands",
			flags: map[string]string{"tls-min-version": "VersionTLS12", "tls-cipher-suites": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
			phase: provingTrial, says: []string{"missing an HTTP/2-required AES_128_GCM_SHA256 cipher"},
		},
		{
			name:  "a cipher suite that doesn't exist",
			flags: map[string]string{"tls-cipher-suites": "TLS_NO_SUCH_SUITE"},
			phase: provingTrial, says: []string{"Cipher suite TLS_NO_SUCH_SUITE not supported or doesn't exist"},
		},
		{
			name:  "a TLS version that doesn't exist",
			flags: map[string]string{"tls-min-version": "VersionTLS99"},
			phase: provingTrial, says: []string{`unknown tls version \"VersionTLS99\"`},
		},
		{
			name: "an authentication configuration with a typo",
			prepare: prepare("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n" +
				"anonymus:\n  enabled: false\n"),
			flags: map[string]string{"authentication-config": preparedFile},
			phase: provingTrial, says: []string{`unknown field \"anonymus\"`},
		},
		{
			name: "an authorization configuration beside a mode",
			prepare: prepare("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n" +
				"authorizers:\n- type: Node\n  name: node\n- type: RBAC\n  name: rbac\n"),
			flags: map[string]string{"authorization-config": preparedFile},
			phase: provingTrial, says: []string{"--authorization-config can not be specified when --authorization-mode"},
		},
		{
			name:  "an authorization that excludes everybody",
			flags: map[string]string{"authorization-mode": "AlwaysDeny"},
			phase: provingTrial, says: []string{"forbidden"},
		},
		{
			name:  "a flag that doesn't exist",
			flags: map[string]string{"no-such-flag": "1"},
			phase: provingTrial, says: []string{"unknown flag: --no-such-flag"},
		},
		{
			name:  "an admission plugin that doesn't exist",
			flags: map[string]string{"enable-admission-plugins": "NodeRestriction,NoSuchPlugin"},
			phase: provingTrial, says: []string{`\"NoSuchPlugin\" is unknown`},
		},
		{
			name:  "a port that etcd has",
			flags: map[string]string{"secure-port": "2379"},
			phase: staging, says: []string{"--secure-port=2379: that port is in use on node "},
		},
		{
			name:  "a service account key that isn't there",
			flags: map[string]string{"service-account-key-file": preparedFolder + "/none.pub"},
			phase: provingTrial, says: []string{preparedFolder + "/none.pub: no such file or directory"},
		},
		{
			name:  "a folder for a service account key",
			flags: map[string]string{"service-account-key-file": "/etc/kubernetes/pki"},
			phase: provingTrial, says: []string{"read /etc/kubernetes/pki: is a directory"},
		},
		{
			name:  "an etcd where there is none",
			flags: map[string]string{"etcd-servers": "https://127.0.0.1:2399"},
			phase: provingTrial, says: []string{"dial tcp 127.0.0.1:2399: connect: connection refused"},
		},
		{
			name: "an encryption configuration with a typo",
			prepare: prepare("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n" +
				"resources:\n- resources: [secrets]\n  provider:\n  - identity: {}\n"),
			flags: map[string]string{"encryption-provider-config": preparedFile},
			phase: provingTrial, says: []string{`unknown field \"resources[0].provider\"`},
		},
		{
			name:    "an audit policy with a typo",
			prepare: prepare("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadat\n"),
			flags:   map[string]string{"audit-policy-file": preparedFile, "audit-log-path": "-"},
			phase:   provingTrial, says: []string{`Unsupported value: \"Metadat\"`},
		},
		{
			name:   "a kubelet's cipher suite that doesn't exist",
			fields: map[string]any{"tlsCipherSuites": []any{"TLS_NO_SUCH_SUITE"}},
			phase:  seeing, says: []string{"it ends as soon as it is started", "Cipher suite TLS_NO_SUCH_SUITE not supported or doesn't exist"},
		},
		{
			name:   "a kubelet's TLS version that doesn't exist",
			fields: map[string]any{"tlsMinVersion": "VersionTLS99"},
			phase:  seeing, says: []string{"it ends as soon as it is started", `unknown tls version \"VersionTLS99\"`},
		},
	}
}
