package provider_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// requestsLab is a cluster whose kubelets request their serving certificates.
type requestsLab struct{ hardeningLab }

// everything is what a destroy must bring back: the files that anything of kubecomm's could be among, and the API's objects.
func (l requestsLab) everything() string {
	const files = `find /etc /opt /usr/local /var/lib/kubelet/config.yaml /var/lib/kubelet/pki /var/lib/private \
  \( -type f -o -type l \) ! -path '/etc/kubernetes/manifests/*' -printf '%p %M %l ' -exec sh -c '[ -h "$1" ] || sha256sum <"$1"; echo' sh {} \; | sort`
	return l.output(0, files) + l.output(1, files) + l.configuration() + l.leftOvers()
}

// leftOvers are the API's objects that approvers have.
func (l requestsLab) leftOvers() string {
	return l.output(0, `kubectl --kubeconfig /etc/kubernetes/admin.conf get --all-namespaces --output name \
  serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings | grep approver | grep kubecomm || :
systemctl list-unit-files --no-legend 'kubecomm-approver*' || :; ls -d /opt/kubecomm /var/lib/kubecomm-approver /var/lib/private/kubecomm-approver 2>/dev/null || :`)
}

func (l requestsLab) checkEverything(then *string) func(*terraform.State) error {
	return func(*terraform.State) error {
		if now := l.everything(); now != *then {
			return fmt.Errorf("before, there was\n%s\nand now there is\n%s", *then, now)
		}
		return nil
	}
}

// failLater has kubelets request, together with what only fails later on, and sees that all of it is undone.
func (l requestsLab) failLater() {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	want := settings.Defaults()
	want.ServingSource = settings.CSR
	want.SetFlag(settings.APIServer, "no-such-flag", "1")
	_, err = apply.Apply(l.t.Context(), apply.On(opened), apply.Options{Settings: want, Now: time.Now})
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(l.t, ok, "%v", err)
	require.NoError(l.t, failure.UndoErr)
	var undone []apply.Kind
	for _, step := range failure.Undone {
		undone = append(undone, step.Kind)
	}
	require.Equal(l.t, []apply.Kind{
		apply.ReplaceAPIServer, apply.ConfigureKubelet, apply.ConfigureKubelet, apply.InstallApprover, apply.AllowApprover,
		apply.ReplaceControllerManager, apply.CreateIssuer,
	}, undone, failure)
}

// stream returns who reads a log, and runs a command, in the pod of kube-proxy on the worker, through the apiserver.
func (l requestsLab) stream(ctx context.Context) func(context.Context) error {
	opened, err := cluster.NewEngine().Open(ctx, l.name)
	require.NoError(l.t, err)
	config, err := opened.RESTConfig(ctx)
	require.NoError(l.t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(l.t, err)
	pods := client.CoreV1().Pods(metav1.NamespaceSystem)
	found, err := pods.List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=kube-proxy", FieldSelector: "spec.nodeName=" + l.name + "-worker",
	})
	require.NoError(l.t, err)
	require.Len(l.t, found.Items, 1)
	pod := found.Items[0].Name
	exec := client.CoreV1().RESTClient().Get().Namespace(metav1.NamespaceSystem).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"true"}, Stdout: true}, scheme.ParameterCodec).URL()
	lines := int64(1)
	return func(ctx context.Context) error {
		// DoRaw would keep from us what the apiserver says of the kubelet.
		if err := pods.GetLogs(pod, &corev1.PodLogOptions{TailLines: &lines}).Do(ctx).Error(); err != nil {
			return err
		}
		executor, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, exec.String())
		if err == nil {
			err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard})
		}
		// The image of kube-proxy need not have the command: it is the kubelet that says so.
		if err != nil && regexp.MustCompile(`executable file not found|command terminated`).MatchString(err.Error()) {
			return nil
		}
		return err
	}
}

func (l requestsLab) streams() { require.NoError(l.t, l.stream(l.t.Context())(l.t.Context())) }

// streamsWatch is who goes on to read logs and run commands.
type streamsWatch struct {
	lab    requestsLab
	client *steady.Client
}

func (l requestsLab) watchStreams() *streamsWatch {
	client, err := steady.Start(l.t.Context(), steady.Options{Do: l.stream(l.t.Context()), Pace: 300 * time.Millisecond})
	require.NoError(l.t, err)
	l.t.Cleanup(func() { client.Stop() })
	return &streamsWatch{lab: l, client: client}
}

// end sees that no certificate was to blame for anything: a kubelet that restarts, and an apiserver that is replaced, end
// what they were at, and that is all.
func (w *streamsWatch) end() {
	report := w.client.Stop()
	w.lab.t.Logf("logs and exec: %s", report)
	require.Greater(w.lab.t, report.Requests-len(report.Failures), 10)
	for _, failure := range report.Failures {
		require.NotRegexp(w.lab.t, `x509:|tls:`, failure.Error)
	}
}

// renews takes the worker's kubelet its certificate, which then requests another, and nobody applies anything.
func (l requestsLab) renews() {
	var former string
	l.eventually("the worker to serve", func(o apply.Observation, err error) error {
		if err == nil {
			former = pki.Fingerprint(o.Nodes[1].Serving.Leaf())
		}
		return err
	})
	l.onWorker(`rm -- "$(readlink /var/lib/kubelet/pki/kubelet-server-current.pem)"; systemctl restart kubelet`)
	l.eventually("the worker to serve another certificate that is trusted", func(o apply.Observation, err error) error {
		switch {
		case err != nil:
			return err
		case o.Nodes[1].Serving.Problem != nil:
			return o.Nodes[1].Serving.Problem
		case pki.Fingerprint(o.Nodes[1].Serving.Leaf()) == former:
			return errors.New("it is the former one")
		}
		return nil
	})
	l.streams()
}

// stopsRequesting takes the worker's kubelet the field by hand.
func (l requestsLab) stopsRequesting() {
	l.onWorker(`sed -i /^serverTLSBootstrap:/d /var/lib/kubelet/config.yaml; systemctl restart kubelet`)
	l.eventually("the worker to serve its own certificate again", func(o apply.Observation, err error) error {
		if err == nil && (o.Nodes[1].Serving.Leaf() == nil || o.Nodes[1].Serving.Problem == nil) {
			err = errors.New("it serves none, or one that is trusted")
		}
		return err
	})
	require.ErrorContains(l.t, l.stream(l.t.Context())(l.t.Context()), "tls: failed to verify certificate: x509:")
}

// rogue is a request, who makes it, and what is said of it; nothing, if it is approved.
type rogue struct {
	as     string // whom kubectl stands in for; empty for the administrator
	names  []string
	ips    []string
	usages string
	told   string
}

// refusesRogues makes requests of all sorts, and sees that the right one alone is approved.
func (l requestsLab) refusesRogues() {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	own, others := opened.Nodes()[1].Addresses()[0].String(), opened.Nodes()[0].Addresses()[0].String()
	node := l.name + "-worker"
	as := " --as system:node:" + node + " --as-group system:nodes --as-group system:authenticated"
	const right = "digital signature, server auth"
	rogues := map[string]rogue{
		"right":           {as, []string{node}, []string{own}, right, ""},
		"others-address":  {as, []string{node}, []string{own, others}, right, "ForeignAddresses: .*" + regexp.QuoteMeta(others) + ", which node " + node + " doesn't have"},
		"name-of-the-api": {as, []string{"kubernetes.default.svc"}, []string{own}, right, `ForeignNames: .*"kubernetes.default.svc", which is not the name of node ` + node},
		"wrong-usage":     {as, []string{node}, []string{own}, "digital signature, client auth", "WrongUsages: .*client auth"},
		"wrong-user":      {"", []string{node}, []string{own}, right, `WrongUser: .*"kubernetes-admin" asked for a certificate of "system:node:` + node + `"`},
	}
	for name, r := range rogues {
		l.request(name, node, r)
	}
	l.waitRequest("right", `^Approved`)
	for name, r := range rogues {
		if r.told == "" {
			continue
		}
		l.waitEvent(name, r.told)
		require.Empty(l.t, l.conditions(name), name)
	}
	l.kubectl("delete csr --selector rogue=yes")
}

func (l requestsLab) request(name, node string, r rogue) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(l.t, err)
	template := x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}}, DNSNames: r.names,
	}
	for _, ip := range r.ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	require.NoError(l.t, err)
	encoded := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	object := fmt.Sprintf(`{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest",
"metadata":{"name":%q,"labels":{"rogue":"yes"}},
"spec":{"request":%q,"signerName":"kubernetes.io/kubelet-serving","usages":["%s"]}}`,
		name, encoded, strings.ReplaceAll(r.usages, ", ", `","`))
	said := l.output(0, "kubectl --kubeconfig /etc/kubernetes/admin.conf create"+r.as+" -f - 2>&1 <<'END' || :\n"+object+"\nEND\n")
	require.Contains(l.t, said, "created")
}

func (l requestsLab) conditions(name string) string {
	return l.kubectl("get csr " + name + ` --output jsonpath='{.status.conditions[*].type}'`)
}

func (l requestsLab) waitRequest(name, conditions string) {
	l.waitText("request "+name, conditions, func() string { return l.conditions(name) })
}

func (l requestsLab) waitEvent(name, told string) {
	l.waitText("an event of request "+name, told, func() string {
		return l.kubectl(`get events.events.k8s.io --namespace default --output jsonpath='{range .items[?(@.regarding.name=="` + name +
			`")]}{.reason}: {.note}{"\n"}{end}'`)
	})
}

func (l requestsLab) waitText(what, pattern string, get func() string) {
	options := wait.Options{Limit: time.Minute, Every: time.Second}
	require.NoError(l.t, wait.Until(l.t.Context(), what, options, func(context.Context) error {
		if text := get(); !regexp.MustCompile(pattern).MatchString(text) {
			return fmt.Errorf("it is %q", text)
		}
		return nil
	}))
}
