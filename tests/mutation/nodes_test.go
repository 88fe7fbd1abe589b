package mutation

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

func (l *lab) controlPlane() *cluster.Node { return l.cluster.ControlPlanes()[0] }

// worker is the last node: control planes come first.
func (l *lab) worker() *cluster.Node { return l.cluster.Nodes()[len(l.cluster.Nodes())-1] }

func shell(ctx context.Context, node *cluster.Node, script string, args ...string) error {
	_, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", "set -e\n" + script, "sh"}, args...)})
	return err
}

// kubelets are what is wrong with the worker's kubelet.
func kubelets() []sabotage {
	// streams are checks that have streams to the worker, or read what its kubelet runs with.
	streams := ids(in("kubelet-paths", "logs", "logs-follow", "exec-*", "attach-*", "port-forward-*"), byExecs,
		in("in-pod", "go-client", "python-client", "apiserver-names"), in("proxy-paths", "https-unverified", "*-websocket"),
		in("kubelet-api", "anonymous", "unknown-token", "token-delegation", "no-rights", "only-*", "read-only-port", "tls-floor",
			"serving-certificate", "get-proxy-equals-exec"),
		in("control-plane", "declared-kubelet-*", "kubelet-client-certificates-rotate"))
	return []sabotage{
		{
			name: "a kubelet lets strangers in", do: kubeletField(`/^  anonymous:/,/enabled/ s/enabled: false/enabled: true/`),
			fails: ids(in("kubelet-api", "anonymous"), declared("kubelet.anonymous")),
		},
		{
			name: "a kubelet asks nobody whose tokens are", do: kubeletField(`/^  webhook:/,/enabled/ s/enabled: true/enabled: false/`),
			fails: ids(in("kubelet-api", "anonymous", "unknown-token", "token-delegation", "no-rights", "only-*", "get-proxy-equals-exec"),
				declared("kubelet.webhook_authentication")),
		},
		{
			name: "a kubelet allows everything to whom it knows", do: kubeletField(`s/mode: Webhook/mode: AlwaysAllow/`),
			fails: ids(in("kubelet-api", "no-rights", "only-*"), declared("kubelet.authorization_mode")),
		},
		{
			name: "a kubelet tells of its pods over plain HTTP", do: kubeletField(`/^readOnlyPort:/d; $ a readOnlyPort: 10255`),
			fails: ids(in("kubelet-api", "read-only-port"), declared("kubelet.read_only_port")),
		},
		{
			name: "a kubelet speaks TLS 1.1", do: kubeletField(`$ a tlsMinVersion: VersionTLS11`),
			fails: in("kubelet-api", "tls-floor"),
		},
		{
			name: "a kubelet doesn't renew its client certificate", do: kubeletField(`s/^rotateCertificates: true/rotateCertificates: false/`),
			fails: ids(in("control-plane", "kubelet-client-certificates-rotate"), declared("kubelet.rotate_certificates")),
		},
		{
			name: "a kubelet serves no streams", do: kubeletField(`/^enableDebuggingHandlers:/d; $ a enableDebuggingHandlers: false`),
			fails: ids(streams, in("kubelet-paths", "logs-unverified-on-request")),
		},
		{
			name: "a kubelet serves a stranger's certificate", do: strangersCertificate,
			fails: ids(streams, in("proxy-paths", "node", "nodes-forbidden"), in("control-plane", "bootstrap-token-only-joins")),
		},
		{
			name: "a kubelet's file has a stranger's client certificate", do: strangersClientCertificate,
			fails: in("control-plane", "kubelet-client-certificates"),
		},
	}
}

const kubeletConfig = "/var/lib/kubelet/config.yaml"

// kubeletField edits the configuration of the worker's kubelet with sed, and returns when it runs with it.
func kubeletField(edit string) func(context.Context, *lab) (undo, error) {
	return func(ctx context.Context, l *lab) (undo, error) {
		node := l.worker()
		before, err := node.ReadFile(ctx, kubeletConfig)
		if err != nil {
			return nil, err
		}
		undo := func(ctx context.Context) error {
			return errors.Join(node.WriteFile(ctx, kubeletConfig, before), l.restartKubelet(ctx))
		}
		if err := shell(ctx, node, `sed --in-place "$1" "$2"`, edit, kubeletConfig); err != nil {
			return nil, err
		}
		after, err := node.ReadFile(ctx, kubeletConfig)
		if err == nil && string(after.Data) == string(before.Data) {
			return nil, fmt.Errorf("%s changes nothing of %s", edit, kubeletConfig)
		}
		return undo, errors.Join(err, l.restartKubelet(ctx))
	}
}

// restartKubelet restarts the worker's, and waits until the node is ready because of what the new one says.
func (l *lab) restartKubelet(ctx context.Context) error {
	begun := time.Now().Truncate(time.Second)
	if err := shell(ctx, l.worker(), "systemctl restart kubelet"); err != nil {
		return err
	}
	return wait.Until(ctx, "the worker's kubelet", wait.Options{Limit: undoLimit}, func(ctx context.Context) error {
		node, err := l.client.CoreV1().Nodes().Get(ctx, l.worker().Name(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue &&
				!condition.LastHeartbeatTime.Time.Before(begun) {
				return nil
			}
		}
		return errNotYet
	})
}

func strangersCertificate(ctx context.Context, l *lab) (undo, error) {
	certificate, err := imposter.Stranger(l.worker())
	if err != nil {
		return nil, err
	}
	return imposter.Serve(ctx, l.controlPlane(), l.worker(), certificate)
}

// strangersClientCertificate puts another certificate before the kubelet's own, which it reads at its start alone.
func strangersClientCertificate(ctx context.Context, l *lab) (undo, error) {
	const file = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	node := l.worker()
	undo := func(ctx context.Context) error {
		return shell(ctx, node, `cat /var/lib/kubelet/pki/before.pem >"$1"; rm /var/lib/kubelet/pki/before.pem`, file)
	}
	return undo, shell(ctx, node, `cp --dereference --preserve "$1" /var/lib/kubelet/pki/before.pem
openssl x509 -in /var/lib/kubelet/pki/kubelet.crt | cat - /var/lib/kubelet/pki/before.pem >/var/lib/kubelet/pki/both.pem
cat /var/lib/kubelet/pki/both.pem >"$1"; rm /var/lib/kubelet/pki/both.pem`, file)
}

// nodes are what is wrong with nodes otherwise.
func nodes() []sabotage {
	return []sabotage{
		{
			name: "pods don't reach the service kubernetes", do: rejectService,
			fails: ids(in("in-pod", "files", "by-*", "in-cluster-configuration", "kubectl-proxy", "go-client", "python-client", "wrong-root-certificate",
				"unauthorized-account"), in("proxy-paths", "*-websocket")),
		},
		{
			name: "a kubelet's kubeconfig verifies nobody", do: unverified((*lab).worker, "/etc/kubernetes/kubelet.conf"),
			fails: in("control-plane", "kubelets-verify-apiserver"),
		},
		{
			name: "the scheduler's kubeconfig verifies nobody", do: unverified((*lab).controlPlane, "/etc/kubernetes/scheduler.conf"),
			fails: in("control-plane", "components-verify-apiserver"),
		},
		{
			name: "kubelets are given no more tokens", do: renewalPolicy, during: refuseRenewal, flags: []string{"-slow"},
			only: in("in-pod", "token-renewal"), fails: in("in-pod", "token-renewal"),
		},
		{
			name: "a component's container ends during the run", during: endKubeProxy,
			fails: in("aftermath", "nothing-restarted"),
		},
	}
}

// rejectService rejects what pods of the worker send to the virtual address of the service kubernetes.
func rejectService(ctx context.Context, l *lab) (undo, error) {
	service, err := l.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	undo := func(ctx context.Context) error {
		return shell(ctx, l.worker(), "nft delete table ip kubecomm-mutation")
	}
	return undo, shell(ctx, l.worker(), `nft add table ip kubecomm-mutation
nft 'add chain ip kubecomm-mutation prerouting { type filter hook prerouting priority raw; }'
nft "add rule ip kubecomm-mutation prerouting ip daddr $1 tcp dport 443 reject with tcp reset"`, service.Spec.ClusterIP)
}

// endKubeProxy waits until a run has begun and ends the container of the worker's kube-proxy then, which the kubelet starts anew.
func endKubeProxy(ctx context.Context, l *lab) error {
	err := wait.Until(ctx, "a run of the suite to begin", wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		found, err := l.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: suite.RunLabel})
		if err == nil && len(found.Items) == 0 {
			err = errNotYet
		}
		return err
	})
	if err != nil {
		return err
	}
	return shell(ctx, l.worker(), `crictl --timeout 30s stop --timeout 2 "$(crictl --timeout 30s ps --quiet --name '^kube-proxy$')"`)
}

// unverified takes the root certificate out of a kubeconfig of a node. Who has read it doesn't read it again.
func unverified(of func(*lab) *cluster.Node, file string) func(context.Context, *lab) (undo, error) {
	return func(ctx context.Context, l *lab) (undo, error) {
		before, err := of(l).ReadFile(ctx, file)
		if err != nil {
			return nil, err
		}
		undo := func(ctx context.Context) error { return of(l).WriteFile(ctx, file, before) }
		return undo, shell(ctx, of(l), `sed --in-place 's/certificate-authority-data: .*/insecure-skip-tls-verify: true/' "$1"`, file)
	}
}

// refuseRenewal waits for the pod whose token is to be renewed, and has kubelets given no token from then on.
func refuseRenewal(ctx context.Context, l *lab) error {
	err := wait.Until(ctx, "the pod whose token is renewed", wait.Options{Limit: undoLimit}, func(ctx context.Context) error {
		found, err := l.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=in-pod-renewed"})
		if err != nil {
			return err
		}
		if len(found.Items) == 0 {
			return errNotYet
		}
		return workload.Ready(&found.Items[0])
	})
	if err != nil {
		return err
	}
	_, err = l.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: object},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: object, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}, metav1.CreateOptions{})
	return err
}

// renewalPolicy is to refuse what kubelets request tokens by. It does so when it is bound.
func renewalPolicy(ctx context.Context, l *lab) (undo, error) {
	policies, bindings := l.client.AdmissionregistrationV1().ValidatingAdmissionPolicies(),
		l.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err := policies.Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: object},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule: admissionv1.Rule{
						APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"serviceaccounts/token"},
					},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "!request.userInfo.username.startsWith('system:node:')"}},
		},
	}, metav1.CreateOptions{})
	return func(ctx context.Context) error {
		return errors.Join(bindings.Delete(ctx, object, metav1.DeleteOptions{}), policies.Delete(ctx, object, metav1.DeleteOptions{}))
	}, err
}
