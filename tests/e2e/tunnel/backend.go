package tunnel

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// backend is a pod on the worker that is a webhook, and stands for an aggregated API, behind a Service.
type backend struct {
	client *kubernetes.Clientset
	ca     []byte
}

const (
	backendName      = "kubecomm-backend"
	backendNamespace = "default"
	hookPort         = 8443
	apiPort          = 8444
	denied           = "this webhook denies all requests" // agnhost 2.66.1, webhook/alwaysdeny.go

	apiGroup, apiVersion = "tunnel.kubecomm.io", "v1"
	proofLabel           = "kubecomm.io/e2e-tunnel"
)

func deployBackend(ctx context.Context, config *rest.Config, node, image string) (backend, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return backend{}, err
	}
	ca, err := pki.NewServerCA(backendName, "e2e", time.Now())
	if err != nil {
		return backend{}, err
	}
	name := backendName + "." + backendNamespace + ".svc"
	issued, err := ca.IssueServer(backendName, nil, pki.ServingRequest{
		Node: name, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Lifetime: time.Hour, Now: time.Now(),
	})
	if err != nil {
		return backend{}, err
	}
	meta := metav1.ObjectMeta{Name: backendName, Labels: map[string]string{"app": backendName}}
	core := client.CoreV1()
	secret := &corev1.Secret{ObjectMeta: meta, Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSCertKey: pki.EncodeBundle(issued.Certificate), corev1.TLSPrivateKeyKey: issued.Key.Reveal(),
	}}
	if _, err := core.Secrets(backendNamespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return backend{}, err
	}
	container := func(name string, args ...string) corev1.Container {
		return corev1.Container{
			Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: args,
			VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}},
		}
	}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		NodeName: node, TerminationGracePeriodSeconds: new(int64(1)),
		Containers: []corev1.Container{
			container("webhook", "webhook", "--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key", fmt.Sprintf("--port=%d", hookPort)),
			container("api", "netexec", "--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key", fmt.Sprintf("--http-port=%d", apiPort), "--udp-port=-1"),
		},
		Volumes: []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: backendName}}}},
	}}
	if _, err := core.Pods(backendNamespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return backend{}, err
	}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: meta.Labels, Ports: []corev1.ServicePort{
		{Name: "webhook", Port: hookPort, TargetPort: intstr.FromInt32(hookPort)},
		{Name: "api", Port: apiPort, TargetPort: intstr.FromInt32(apiPort)},
	}}}
	if _, err := core.Services(backendNamespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return backend{}, err
	}
	b := backend{client: client, ca: pki.EncodeBundle(ca.Certificate)}
	if err := b.register(ctx); err != nil {
		return b, err
	}
	return b, workload.WaitReady(ctx, client, backendNamespace, backendName, time.Minute)
}

// register tells the apiserver of both.
func (b backend) register(ctx context.Context) error {
	fail, none, seconds, port := admissionv1.Fail, admissionv1.SideEffectClassNone, int32(20), int32(hookPort)
	path := "/always-deny"
	_, err := b.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: backendName},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "deny." + apiGroup, FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &seconds,
			AdmissionReviewVersions: []string{"v1"},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{proofLabel: "yes"}},
			ClientConfig: admissionv1.WebhookClientConfig{CABundle: b.ca, Service: &admissionv1.ServiceReference{
				Namespace: backendNamespace, Name: backendName, Port: &port, Path: &path,
			}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return b.client.RESTClient().Post().AbsPath("/apis/apiregistration.k8s.io/v1/apiservices").
		SetHeader("Content-Type", "application/json").Body(fmt.Appendf(nil, `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService",
"metadata":{"name":%q},"spec":{"group":%q,"version":%q,"groupPriorityMinimum":100,"versionPriority":100,
"insecureSkipTLSVerify":true,"service":{"namespace":%q,"name":%q,"port":%d}}}`,
		apiVersion+"."+apiGroup, apiGroup, apiVersion, backendNamespace, backendName, apiPort)).Do(ctx).Error()
}

// askWebhook has the apiserver ask the webhook, which denies.
func (b backend) askWebhook(ctx context.Context) error {
	_, err := b.client.CoreV1().ConfigMaps(backendNamespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{GenerateName: backendName, Labels: map[string]string{proofLabel: "yes"}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && strings.Contains(err.Error(), denied) {
		return nil
	}
	return fmt.Errorf("the webhook didn't deny: %w", err)
}

// askAPI has the apiserver pass a request on to the aggregated API.
func (b backend) askAPI(ctx context.Context) error {
	result := b.client.RESTClient().Get().AbsPath("/apis/" + apiGroup + "/" + apiVersion + "/any").Do(ctx)
	if err := result.Error(); err != nil {
		return err
	}
	text, err := result.Raw()
	if err == nil && !strings.HasPrefix(string(text), "NOW: ") { // agnhost 2.66.1, netexec/netexec.go
		err = fmt.Errorf("something else answered: %q", text)
	}
	return err
}

// askService goes through the apiserver's proxy for services.
func (b backend) askService(ctx context.Context) error {
	result := b.client.CoreV1().RESTClient().Get().Namespace(backendNamespace).Resource("services").
		Name("https:"+backendName+":api").SubResource("proxy", "hostname").Do(ctx)
	if err := result.Error(); err != nil {
		return err
	}
	text, err := result.Raw()
	if err == nil && string(text) != backendName {
		err = fmt.Errorf("something else answered: %q", text)
	}
	return err
}
