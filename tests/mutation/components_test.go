package mutation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// expectations are clusters on which less was declared than the run is told.
func expectations() []sabotage {
	expect := func(assignments ...string) (flags []string) {
		for _, assignment := range assignments {
			flags = append(flags, "-expect", assignment)
		}
		return flags
	}
	return []sabotage{
		{
			name: "no tunnel by Konnectivity", flags: []string{"-tunnel", "konnectivity"}, fails: in("tunnel", "mode", "konnectivity-*"),
		},
		{
			name: "no tunnel by SSH", flags: []string{"-tunnel", "ssh"}, fails: in("tunnel", "mode", "ssh-*"),
		},
		{
			name: "tokens are extended", flags: expect("apiserver.service_account_extend_token_expiration=false"),
			fails: ids(in("in-pod", "mounted-token-expiry"), declared("apiserver.service_account_extend_token_expiration")),
		},
		{
			name: "strangers get past authentication", flags: expect("apiserver.anonymous_paths=/healthz,/livez,/readyz"),
			fails: ids(in("control-plane", "anonymous-elsewhere"), in("outside", "no-token")),
		},
		{
			name: "the TLS floors are too low",
			flags: expect("apiserver.tls_min_version=VersionTLS13", "kubelet.tls_min_version=VersionTLS13",
				"controller_manager.tls_min_version=VersionTLS13", "scheduler.tls_min_version=VersionTLS13", "etcd.tls_min_version=TLS1.3"),
			fails: ids(in("control-plane", "*-tls-floor"), in("kubelet-api", "tls-floor"), declared("apiserver.tls_min_version",
				"kubelet.tls_min_version", "controller_manager.tls_min_version", "scheduler.tls_min_version", "etcd.tls_min_version")),
		},
		{
			name: "half of it was never declared",
			flags: expect("apiserver.service_account_issuers=https://issuer.example", "apiserver.service_account_max_token_expiration=24h",
				"apiserver.service_account_lookup=true", "apiserver.request_timeout=2m", "apiserver.authorization_modes=RBAC,Node",
				"apiserver.tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
				"kubelet.tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "kubelet.streaming_idle_timeout=30m",
				"controller_manager.tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
				"scheduler.tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "etcd.profiling=false",
				"apiserver.tls_curve_preferences=X25519", "kubelet.tls_curve_preferences=X25519",
				"etcd.listen_metrics_urls=http://127.0.0.1:2381,http://127.0.0.1:2383"),
			fails: declared("apiserver.authorization_modes", "apiserver.service_account_issuers", "apiserver.service_account_max_token_expiration",
				"apiserver.service_account_lookup", "apiserver.request_timeout", "apiserver.tls_cipher_suites",
				"kubelet.tls_cipher_suites", "kubelet.streaming_idle_timeout", "controller_manager.tls_cipher_suites",
				"scheduler.tls_cipher_suites", "etcd.profiling", "apiserver.tls_curve_preferences", "kubelet.tls_curve_preferences",
				"etcd.listen_metrics_urls"),
		},
	}
}

// components are what is wrong with components of the control plane.
func components() []sabotage {
	return []sabotage{
		{
			name: "apiservers don't verify kubelets", do: otherwise("apiserver.verify_kubelets", "false"), destructive: true,
			fails: in("kubelet-paths", "kubelets-verified", "rogue-*"),
		},
		{
			name: "apiservers serve profiles", do: otherwise("apiserver.profiling", "true"),
			fails: ids(in("control-plane", "apiserver-profiling"), declared("apiserver.profiling")),
		},
		{
			name: "kubelets aren't restricted to their nodes",
			do:   manifest("kube-apiserver", `s/--enable-admission-plugins=NodeRestriction/--disable-admission-plugins=NodeRestriction/`),
			fails: ids(in("control-plane", "node-changes-own-node-only", "node-cannot-isolate-itself"),
				declared("apiserver.admission_plugins", "apiserver.disabled_admission_plugins")),
		},
		{
			name: "the controller manager and the scheduler are open", do: func(ctx context.Context, l *lab) (undo, error) {
				return l.declareUntilUndone(ctx, map[string]settings.Value{
					"controller_manager.profiling": {"true"}, "scheduler.profiling": {"true"},
					"controller_manager.bind_address": {"0.0.0.0"}, "scheduler.bind_address": {"0.0.0.0"},
				})
			},
			fails: ids(in("control-plane", "controller-manager-profiling", "scheduler-profiling", "*-loopback-only"),
				declared("controller_manager.profiling", "scheduler.profiling", "controller_manager.bind_address", "scheduler.bind_address")),
		},
		{
			name: "pods are given another root certificate", do: otherRoot,
			fails: ids(in("in-pod", "files", "by-*", "in-cluster-configuration", "kubectl-proxy", "go-client", "python-client",
				"wrong-root-certificate", "unauthorized-account", "endpoints"), in("proxy-paths", "*-websocket")),
		},
		{
			name: "nobody approves what kubelets request", do: manifest("kube-controller-manager", `s/--controllers=.*/&,-certificatesigningrequest-approving-controller/`),
			fails: in("control-plane", "bootstrap-certificate*"),
		},
		{
			// A CA for clients' certificates has them demanded as well (etcd v3.6, client/pkg/transport/listener.go, ServerConfig).
			name: "etcd talks to strangers", do: manifest("etcd", `s/--client-cert-auth=true/--client-cert-auth=false/; / --trusted-ca-file=/d`),
			fails: in("control-plane", "etcd-mutual-tls"),
		},
	}
}

// otherwise declares one setting otherwise.
func otherwise(name string, value ...string) func(context.Context, *lab) (undo, error) {
	return func(ctx context.Context, l *lab) (undo, error) {
		return l.declareUntilUndone(ctx, map[string]settings.Value{name: value})
	}
}

func (l *lab) declareUntilUndone(ctx context.Context, values map[string]settings.Value) (undo, error) {
	return func(ctx context.Context) error { return l.declare(ctx, nil) }, l.declare(ctx, values)
}

// manifest edits a static pod's manifest with sed, as by hand, and returns when the component runs by it.
func manifest(component, edit string) func(context.Context, *lab) (undo, error) {
	return func(ctx context.Context, l *lab) (undo, error) {
		node, file := l.controlPlane(), "/etc/kubernetes/manifests/"+component+".yaml"
		before, err := node.ReadFile(ctx, file)
		if err != nil {
			return nil, err
		}
		undo := func(ctx context.Context) error {
			return errors.Join(node.WriteFile(ctx, file, before), l.waitReplaced(ctx, component), l.waitServices(ctx))
		}
		if err := shell(ctx, node, `sed "$1" "$2" >/etc/kubernetes/by-hand.yaml && ! cmp --quiet "$2" /etc/kubernetes/by-hand.yaml
chmod --reference="$2" /etc/kubernetes/by-hand.yaml && mv /etc/kubernetes/by-hand.yaml "$2"`, edit, file); err != nil {
			return nil, fmt.Errorf("editing %s: %w", file, err)
		}
		return undo, l.waitReplaced(ctx, component)
	}
}

// replaceLimit is how long a component may take that is replaced by hand.
const replaceLimit = 3 * time.Minute

// waitReplaced ends the component, for which the kubelet would otherwise leave it half a minute, and waits until one runs by the
// manifest that there is and the API answers.
func (l *lab) waitReplaced(ctx context.Context, component string) error {
	return wait.Until(ctx, component+" to run by its manifest", wait.Options{Limit: replaceLimit, Every: time.Second}, func(ctx context.Context) error {
		if err := shell(ctx, l.controlPlane(), replacedScript, component); err != nil {
			return err
		}
		if err := l.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		if _, err := apply.Observe(ctx, apply.On(l.cluster), time.Now()); err != nil {
			return err
		}
		return l.settled(ctx)
	})
}

// settled is that what depends on apiservers has found them again: nodes' way to the service kubernetes, and every pod of kube-system.
func (l *lab) settled(ctx context.Context) error {
	service, err := l.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, node := range l.cluster.Nodes() {
		conn, err := node.Dial(ctx, net.JoinHostPort(service.Spec.ClusterIP, "443"))
		if err != nil {
			return err
		}
		_ = conn.Close()
	}
	pods, err := l.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if err := workload.Ready(&pod); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// waitServices waits until every node leads to a service that has just been made.
func (l *lab) waitServices(ctx context.Context) error {
	services := l.client.CoreV1().Services(metav1.NamespaceSystem)
	made, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: object + "-"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"component": "kube-apiserver"},
			Ports:    []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(6443)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	err = wait.Until(ctx, "nodes to know a new service", wait.Options{Limit: undoLimit, Every: time.Second}, func(ctx context.Context) error {
		for _, node := range l.cluster.Nodes() {
			conn, err := node.Dial(ctx, net.JoinHostPort(made.Spec.ClusterIP, "443"))
			if err != nil {
				return err
			}
			_ = conn.Close()
		}
		return nil
	})
	return errors.Join(err, services.Delete(context.WithoutCancel(ctx), made.Name, metav1.DeleteOptions{}))
}

// otherRoot gives pods another root certificate than the cluster's.
func otherRoot(ctx context.Context, l *lab) (undo, error) {
	repair, err := manifest("kube-controller-manager", `s#--root-ca-file=.*#--root-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt#`)(ctx, l)
	if repair == nil {
		return nil, err
	}
	return func(ctx context.Context) error { return errors.Join(repair(ctx), l.renewRoots(ctx)) }, err
}

// rootsScript fails while a pod of the node has another root certificate than the cluster's.
const rootsScript = `for file in /var/lib/kubelet/pods/*/volumes/kubernetes.io~projected/*/ca.crt; do
  cmp "$file" /etc/kubernetes/pki/ca.crt >&2 || exit 1
done`

// renewRoots waits until every pod has the right root certificate, and has daemons begin anew with it: they would read it again after
// minutes, and kube-proxy not know of any service until then.
func (l *lab) renewRoots(ctx context.Context) error {
	err := wait.Until(ctx, "pods to have the cluster's root certificate", wait.Options{Limit: undoLimit, Every: time.Second},
		func(ctx context.Context) error {
			var problems error
			for _, node := range l.cluster.Nodes() {
				problems = errors.Join(problems, shell(ctx, node, rootsScript))
			}
			return problems
		})
	if err != nil {
		return err
	}
	pods, daemons := l.client.CoreV1().Pods(metav1.NamespaceSystem), metav1.ListOptions{LabelSelector: "controller-revision-hash"}
	before, err := pods.List(ctx, daemons)
	if err != nil {
		return err
	}
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, daemons); err != nil {
		return err
	}
	err = wait.Until(ctx, "daemons to run again", wait.Options{Limit: undoLimit, Every: time.Second}, func(ctx context.Context) error {
		now, err := pods.List(ctx, daemons)
		if err != nil {
			return err
		}
		old := func(pod corev1.Pod) bool {
			return slices.ContainsFunc(before.Items, func(each corev1.Pod) bool { return each.Name == pod.Name })
		}
		if len(now.Items) != len(before.Items) || slices.ContainsFunc(now.Items, old) {
			return errNotYet
		}
		return l.settled(ctx)
	})
	return errors.Join(err, l.waitServices(ctx))
}

const replacedScript = `id=$(crictl --timeout 30s ps --quiet --state Running --name "^$1\$")
[ -n "$id" ] || { echo "it doesn't run" >&2; exit 1; }
pid=$(crictl --timeout 30s inspect --output go-template --template '{{.info.pid}}' "$id")
tr '\0' '\n' <"/proc/$pid/cmdline" | grep '^--' | sort >/tmp/kubecomm-mutation-runs
grep '^    - --' "/etc/kubernetes/manifests/$1.yaml" | sed 's/^    - //' | sort >/tmp/kubecomm-mutation-declared
cmp /tmp/kubecomm-mutation-runs /tmp/kubecomm-mutation-declared >&2 || { crictl --timeout 30s stop --timeout 2 "$id" >&2; exit 1; }`
