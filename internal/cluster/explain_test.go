package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"
	for name, test := range map[string]struct{ text, want string }{
		"a private key":                    {"a\n" + key + "\nb", "a\n(private key)\nb"},
		"a private key without its end":    {"a -----BEGIN PRIVATE KEY-----\nMHcCAQEE", "a (private key)"},
		"a certificate stays":              {"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"},
		"a kubeconfig's key":               {"client-key-data: LS0tLS1CRUdJTi==", "client-key-data: (private key)"},
		"a bootstrap token":                {"--token abcdef.0123456789abcdef --x", "--token (bootstrap token) --x"},
		"a certificate key as a flag":      {"--certificate-key " + strings.Repeat("0f", 32), "--certificate-key (certificate key)"},
		"a certificate key as a field":     {"certificateKey: " + strings.Repeat("0f", 32), "certificateKey: (certificate key)"},
		"a certificate's digest stays":     {"sha256:" + strings.Repeat("0f", 32), "sha256:" + strings.Repeat("0f", 32)},
		"a service account's token":        {"Bearer eyJhbGciOi.eyJpc3MiOi.c2ln-_x ok", "Bearer (token) ok"},
		"a proxy's credentials":            {"HTTP_PROXY=http://me:secret@proxy:3128", "HTTP_PROXY=http://(credentials)@proxy:3128"},
		"a host name is not a token":       {"dev-control-plane.kubernetes.default", "dev-control-plane.kubernetes.default"},
		"an address is not made of secret": {"https://127.0.0.1:6443/healthz", "https://127.0.0.1:6443/healthz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, Redact(test.text))
		})
	}
}

// An output of `kubeadm init --v=6` whose kubelet does not come up.
const kubeadmOutput = `I1122 10:00:00.000000     200 initconfiguration.go:255] loading configuration from "/kind/kubeadm.conf"
W1122 10:00:00.000000     200 common.go:101] your configuration file uses a deprecated API spec
[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s
[kubelet-check] The kubelet is not healthy after 4m0.000501287s

Unfortunately, an error has occurred, likely caused by:
	- The kubelet is not running
error: error execution phase wait-control-plane: failed while waiting for the kubelet to start
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
	k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
main.main
	k8s.io/kubernetes/cmd/kubeadm/kubeadm.go:25
runtime.goexit
	runtime/asm_amd64.s:1700
`

func TestLastLinesLeaveOutWhatExplainsNothing(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		"[kubelet-check] The kubelet is not healthy after 4m0.000501287s",
		"Unfortunately, an error has occurred, likely caused by:",
		"\t- The kubelet is not running",
		"error: error execution phase wait-control-plane: failed while waiting for the kubelet to start",
	}, lastLines(kubeadmOutput, 4))
	assert.Empty(t, lastLines("\n \n", 4))
}

func TestRepeatedComplaintsAreShownOnce(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"kubelet: b", "kubelet: a"}, distinctLast([]string{
		"kubelet: run.go:72] a", "kubelet: run.go:72] c", "kubelet: run.go:72] b", "kubelet: run.go:73] a",
	}, 2))
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var seen []Progress
	recorder := newRecorder("dev", func(progress Progress) { seen = append(seen, progress) }, func() time.Time { return now })
	recorder.V(0).Infof("Creating cluster %q ...\n", "dev")
	recorder.V(0).Infof(" • %s  ...\n", "Preparing nodes 📦 📦 ")
	now = now.Add(3 * time.Second)
	recorder.V(0).Infof(" ✓ %s\n", "Preparing nodes 📦 📦 ")
	recorder.V(0).Infof(" • %s  ...\n", "Starting control-plane 🕹️")
	recorder.V(1).Info("something verbose")
	recorder.Warnf("token %s", "abcdef.0123456789abcdef")
	recorder.V(3).Info("the whole output of kubeadm")
	recorder.Error(" something else\n")
	recorder.V(0).Infof(" ✗ %s\n", "Starting control-plane 🕹️")
	step, lines := recorder.close()
	recorder.V(0).Infof(" • %s  ...\n", "Installing CNI 🔌")

	assert.Equal(t, []Progress{
		{"dev", "Preparing nodes", StepStarted, 0},
		{"dev", "Preparing nodes", StepFinished, 3 * time.Second},
		{"dev", "Starting control-plane", StepStarted, 3 * time.Second},
		{"dev", "Starting control-plane", StepFailed, 3 * time.Second},
	}, seen)
	assert.Equal(t, "Starting control-plane", step)
	assert.Equal(t, []string{"token (bootstrap token)", "something else"}, lines)
}
