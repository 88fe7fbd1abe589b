package kubelet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheConfigurationDecidesWhichCertificateAKubeletServes(t *testing.T) {
	tests := map[string]struct {
		config  string
		want    Serving
		refuse  error
		invalid string
	}{
		"kubeadm's has no certificate, so the kubelet made its own": {
			config: "kind: KubeletConfiguration\nauthentication: {anonymous: {enabled: false}}\n",
			want:   Serving{CertFile: "/var/lib/kubelet/pki/kubelet.crt", KeyFile: "/var/lib/kubelet/pki/kubelet.key", Port: 10250},
		},
		"files and a port of the administrator's are used": {
			config: "tlsCertFile: /c\ntlsPrivateKeyFile: /k\nport: 11250\n",
			want:   Serving{CertFile: "/c", KeyFile: "/k", Port: 11250},
		},
		"a requested certificate is not served from the files": {
			config: "serverTLSBootstrap: true\n",
			want: Serving{
				CertFile: "/var/lib/kubelet/pki/kubelet.crt", KeyFile: "/var/lib/kubelet/pki/kubelet.key", Port: 10250, Requests: true,
			},
		},
		"a kubelet that was told not to watch its files is refused": {
			config: "featureGates: {ReloadKubeletServerCertificateFile: false}\n", refuse: ErrNoReload,
		},
		"fields of a newer kubelet are no error": {
			config: "fieldOfTheFuture: {a: 1}\nport: 1\n",
			want:   Serving{CertFile: "/var/lib/kubelet/pki/kubelet.crt", KeyFile: "/var/lib/kubelet/pki/kubelet.key", Port: 1},
		},
		"what is no YAML is an error": {config: "\t", invalid: "not valid YAML"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseServing([]byte(test.config))
			switch {
			case test.refuse != nil:
				require.ErrorIs(t, err, test.refuse)
			case test.invalid != "":
				require.ErrorContains(t, err, test.invalid)
			default:
				require.NoError(t, err)
				require.Equal(t, test.want, got)
			}
		})
	}
}
