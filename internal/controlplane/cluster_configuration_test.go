package controlplane

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kubeadmConfiguration is what kubeadm 1.37 keeps in a kind cluster.
//
//go:embed testdata/cluster-configuration.yaml
var kubeadmConfiguration []byte

var everyComponent = map[string][]string{
	"kube-apiserver": {"profiling", "tls-min-version", "service-account-issuer"}, "kube-controller-manager": {"profiling"},
	"kube-scheduler": {"profiling"}, "etcd": {"tls-min-version"},
}

const kubeadmMapped = `# by hand
apiServer:
  extraArgs:
    runtime-config: ""   # none
  timeoutForControlPlane: 4m0s
apiVersion: kubeadm.k8s.io/v1beta3
etcd:
    local: {dataDir: /var/lib/etcd}
kind: ClusterConfiguration
scheduler: {}
`

func TestRebaseGivesComponentsTheWantedArgumentsAndGoesBackToWhatWasThereBefore(t *testing.T) {
	stock := string(kubeadmConfiguration)
	off := Flags{"profiling": {"false"}}
	listed := strings.NewReplacer(
		"  - name: runtime-config\n    value: \"\"\n",
		"  - name: runtime-config\n    value: \"\"\n  - name: profiling\n    value: \"false\"\n",
		"    dataDir: /var/lib/etcd\n",
		"    dataDir: /var/lib/etcd\n    extraArgs:\n    - name: tls-min-version\n      value: TLS1.3\n",
		"scheduler: {}\n", "scheduler:\n  extraArgs:\n  - name: profiling\n    value: \"false\"\n",
	).Replace(stock)
	all := map[string]Flags{"kube-apiserver": off, "kube-scheduler": off, "etcd": {"tls-min-version": {"TLS1.3"}}}
	const mappedAll = `# by hand
apiServer:
  extraArgs:
    runtime-config: "" # none
    profiling: "false"
  timeoutForControlPlane: 4m0s
apiVersion: kubeadm.k8s.io/v1beta3
etcd:
  local: {dataDir: /var/lib/etcd, extraArgs: {tls-min-version: TLS1.3}}
kind: ClusterConfiguration
scheduler:
  extraArgs:
    profiling: "false"
`
	const external = "apiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  external:\n    endpoints: [https://e:2379]\n"
	newVersion := func(text string) string { return strings.Replace(text, "v1.37.1", "v1.38.0", 1) }
	require.Contains(t, stock, "v1.37.1")
	issuers := map[string]Flags{"kube-apiserver": {"service-account-issuer": {"https://new", "https://old"}}}
	own := strings.Replace(stock, "  - name: runtime-config\n", "  - name: profiling\n    value: \"true\"\n  - name: runtime-config\n", 1)
	tests := map[string]struct {
		original, current string
		want              map[string]Flags
		result            string
	}{
		"in a list":                      {stock, stock, all, listed},
		"in a mapping":                   {kubeadmMapped, kubeadmMapped, all, mappedAll},
		"a list goes back byte for byte": {stock, listed, nil, stock},
		"a mapping too":                  {kubeadmMapped, mappedAll, nil, kubeadmMapped},
		"what is right already is left as it was written": {kubeadmMapped, kubeadmMapped, nil, kubeadmMapped},
		"an argument of somebody else's is replaced where it stands": {
			own, own, map[string]Flags{"kube-apiserver": off}, strings.Replace(own, `value: "true"`, `value: "false"`, 1),
		},
		"and comes back": {own, strings.Replace(own, `value: "true"`, `value: "false"`, 1), map[string]Flags{"kube-apiserver": {"profiling": {"true"}}}, own},
		"what kubeadm changed since stays": {
			stock, newVersion(listed), nil, newVersion(stock),
		},
		"a list takes a flag that is given twice": {
			stock, stock, issuers, strings.Replace(stock, "  - name: runtime-config\n    value: \"\"\n",
				"  - name: runtime-config\n    value: \"\"\n  - name: service-account-issuer\n    value: https://new\n"+
					"  - name: service-account-issuer\n    value: https://old\n", 1),
		},
		"a mapping doesn't":                           {kubeadmMapped, kubeadmMapped, issuers, kubeadmMapped},
		"kubeadm runs no etcd where that's a service": {external, external, map[string]Flags{"etcd": {"tls-min-version": {"TLS1.3"}}}, external},
		"places are made where there are none": {
			"apiVersion: kubeadm.k8s.io/v1\n", "apiVersion: kubeadm.k8s.io/v1\nscheduler: null\n", all,
			"apiVersion: kubeadm.k8s.io/v1\nscheduler:\n  extraArgs:\n  - name: profiling\n    value: \"false\"\n" +
				"etcd:\n  local:\n    extraArgs:\n    - name: tls-min-version\n      value: TLS1.3\n" +
				"apiServer:\n  extraArgs:\n  - name: profiling\n    value: \"false\"\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := RebaseClusterConfiguration([]byte(test.original), []byte(test.current), everyComponent, test.want)
			require.NoError(t, err)
			require.Equal(t, test.result, string(got))
			parsed, err := ParseClusterConfiguration(got)
			require.NoError(t, err)
			for component, flags := range test.want {
				for flag, values := range flags {
					if parsed.Takes(component, values) {
						require.Equal(t, values, parsed.Flags(component)[flag])
					} else {
						require.NotContains(t, parsed.Flags(component), flag)
					}
				}
			}
		})
	}
}

func TestWhatIsNoClusterConfigurationIsRefused(t *testing.T) {
	tests := map[string]string{
		"\t":                         "not valid YAML",
		"":                           "no YAML mapping",
		"kind: ClusterConfiguration": "no apiVersion",
		"apiVersion: kubeadm.k8s.io/v1beta4\nscheduler: {extraArgs: {a: b}}":          "[scheduler extraArgs] for kube-scheduler",
		"apiVersion: kubeadm.k8s.io/v1beta3\netcd: {local: {extraArgs: [{name: a}]}}": "[etcd local extraArgs] for etcd",
		"apiVersion: kubeadm.k8s.io/v1beta3\napiServer: 5":                            "[apiServer] for kube-apiserver",
	}
	for text, refusal := range tests {
		_, err := ParseClusterConfiguration([]byte(text))
		require.ErrorContains(t, err, refusal)
	}
}
