package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// An apiserver with a tunnel is proved to reach kubelets, as any is, and also pods, services and webhooks, which go no other
// way. What there is to reach in every cluster is the tunnel's own server, or an apiserver: neither takes what it is asked for
// here, but says so. To have been told that by way of the tunnel is what counts.

// tunnelProofLimit is how long an apiserver may take until it reaches all that: the tunnel was whole before, and so what is
// waited for is what it learns from the API, such as where the Service leads.
const tunnelProofLimit = time.Minute

const proofLabel = "kubecomm.io/tunnel-proof"

// proveTunnel does nothing with an apiserver that has no tunnel of kubecomm's.
func (s *swap) proveTunnel(ctx context.Context, server instance, file string) error {
	manifest, err := readManifest(ctx, server.node, file, server.container)
	if err != nil {
		return err
	}
	egress, given := manifest.Flags().Get(egressFlag)
	if !given || !ours(egress) {
		return nil
	}
	selection, err := server.node.ReadFile(ctx, egress)
	if err != nil {
		return err
	}
	client, err := server.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	proof := tunnelProof{target: s.target, server: server, client: client, id: rand.String(8)}
	proof.proofWays = konnectivityWays(server.node.Name())
	if settings.TunnelOf(selection.Data) == settings.SSH {
		proof.proofWays = sshWays(server.node.Name(), realInstance(ctx, server.node).port, proof.id)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
		defer cancel()
		_ = clearProofs(ctx, client) // or the next one does
	}()
	if err := clearProofs(ctx, client); err != nil {
		return err
	}
	if err := proof.putWebhook(ctx); err != nil {
		return err
	}
	for _, way := range []struct {
		what string
		try  func(context.Context) error
	}{
		{"a pod", proof.counted(proof.tryPod)},
		// Behind the Service is the same server, for which the connection that leads to it is used again.
		{"a service", proof.tryService},
		{"a webhook", proof.counted(proof.tryWebhook)},
	} {
		what := fmt.Sprintf("%s on node %s to reach %s through the tunnel", server.container, server.node.Name(), way.what)
		err := wait.Until(ctx, what, wait.Options{Limit: tunnelProofLimit, Every: proofPause}, way.try)
		if err != nil {
			return err
		}
	}
	return nil
}

type tunnelProof struct {
	target Target
	server instance
	client apiClient
	id     string // of what is made for this proof
	proofWays
}

// proofWays are what a kind of tunnel is proved by.
type proofWays struct {
	pod     string                    // in namespace kube-system, with scheme and port
	service [2]string                 // namespace, and name with scheme and port
	reached func(*http.Response) bool // whether it is pod and service that answered, and not the apiserver that is proved
	// webhook makes what leads to the webhook, if that isn't there already, and returns it with the CAs that it is known by.
	webhook func(context.Context, tunnelProof) (*admissionv1.ServiceReference, []byte, error)
	asked   []string // what an apiserver says, of which one is enough, when it has reached the webhook
}

// konnectivityWays lead to its server, at the port for agents, which speaks gRPC. gRPC refuses what is none by its own kind of
// answer, which no apiserver gives by itself, or ends a connection on which it is spoken to in HTTP/1.1, as apiservers speak to
// webhooks, some after a word in HTTP/2; those of which a client has to say that it speaks HTTP/2 do so while the connection is
// made.
func konnectivityWays(node string) proofWays {
	return proofWays{
		pod:     fmt.Sprintf("https:%s-%s:%d", konnectivity.ServerName, node, konnectivity.AgentPort),
		service: [2]string{konnectivity.Namespace, "https:" + konnectivity.ServerName + ":agents"},
		reached: func(response *http.Response) bool { return response.Header.Get("Content-Type") == "application/grpc" },
		webhook: func(ctx context.Context, p tunnelProof) (*admissionv1.ServiceReference, []byte, error) {
			var cas []byte
			for _, node := range p.target.controlPlanes() {
				file, err := node.ReadFile(ctx, konnectivity.CACert)
				if err != nil {
					return nil, nil, err
				}
				cas = append(cas, file.Data...)
			}
			port := int32(konnectivity.AgentPort)
			return &admissionv1.ServiceReference{Namespace: konnectivity.Namespace, Name: konnectivity.ServerName, Port: &port}, cas, nil
		},
		asked: []string{": EOF", "malformed HTTP response", "tls: no application protocol"},
	}
}

// sshWays lead to the apiserver of a control plane, which doesn't know who asks: no credentials go with what is proxied, and
// it isn't known by the name of the Service that leads webhooks there.
func sshWays(node, port, id string) proofWays {
	return proofWays{
		pod:     fmt.Sprintf("https:%s-%s:%s", apiserver, node, port),
		service: [2]string{metav1.NamespaceSystem, "https:" + proofName(id) + ":https"},
		reached: func(response *http.Response) bool {
			// The apiserver that is proved knows the administrator, who may ask for this.
			return slices.Contains([]int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden}, response.StatusCode)
		},
		webhook: putProofService,
		asked:   []string{"x509: certificate is valid for"},
	}
}

// apiserverLabels are those of its static pod (Kubernetes v1.37.1, cmd/kubeadm/app/util/staticpod/utils.go, ComponentPod).
var apiserverLabels = map[string]string{"component": apiserver, "tier": "control-plane"}

// putProofService makes a Service that leads to the apiservers of all control planes.
func putProofService(ctx context.Context, p tunnelProof) (*admissionv1.ServiceReference, []byte, error) {
	port, err := strconv.ParseInt(realInstance(ctx, p.server.node).port, 10, 32)
	if err != nil {
		return nil, nil, err
	}
	admin, err := p.target.Admin(ctx)
	if err != nil {
		return nil, nil, err
	}
	name := proofName(p.id)
	_, err = p.client.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{managedLabel: managedBy, proofLabel: p.id}},
		Spec: corev1.ServiceSpec{
			Selector: apiserverLabels,
			Ports:    []corev1.ServicePort{{Name: "https", Port: httpsPort, TargetPort: intstr.FromInt32(int32(port))}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("creating Service %s: %w", name, err)
	}
	return &admissionv1.ServiceReference{Namespace: metav1.NamespaceSystem, Name: name}, admin.CAData, nil
}

// httpsPort is where webhooks are asked unless they say otherwise.
const httpsPort = 443

// counted does something, and expects that the apiserver has counted it as a connection through the tunnel.
func (p tunnelProof) counted(try func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		before, err := p.dials(ctx)
		if err != nil {
			return err
		}
		if err := try(ctx); err != nil {
			return err
		}
		after, err := p.dials(ctx)
		if err == nil && after <= before {
			err = fmt.Errorf("it was reached, but not through the tunnel, for which %s has counted %d connections before and after",
				p.server.container, before)
		}
		return err
	}
}

// dialsMetric counts the connections that an apiserver has begun through a tunnel (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/metrics/metrics.go).
const dialsMetric = "apiserver_egress_dialer_dial_start_total"

func (p tunnelProof) dials(ctx context.Context) (int, error) {
	data, err := p.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics of the %s on node %s: %w", p.server.container, p.server.node.Name(), err)
	}
	return metrics.Sum(data, dialsMetric, nil)
}

func (p tunnelProof) tryPod(ctx context.Context) error {
	return p.ask(ctx, metav1.NamespaceSystem, "pods", p.pod)
}

func (p tunnelProof) tryService(ctx context.Context) error {
	return p.ask(ctx, p.service[0], "services", p.service[1])
}

func (p tunnelProof) ask(ctx context.Context, namespace, resource, name string) error {
	url := p.client.CoreV1().RESTClient().Get().Namespace(namespace).Resource(resource).Name(name).
		SubResource("proxy").URL()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return err
	}
	response, err := p.client.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if p.reached(response) {
		return nil
	}
	return fmt.Errorf("GET %s: %w", url.Path, explainRefusal(response))
}

// putWebhook has the apiserver ask a webhook about one object that nobody else makes.
func (p tunnelProof) putWebhook(ctx context.Context) error {
	service, cas, err := p.webhook(ctx, p)
	if err != nil {
		return err
	}
	fail, none, seconds := admissionv1.Fail, admissionv1.SideEffectClassNone, int32(5)
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: proofName(p.id), Labels: map[string]string{managedLabel: managedBy, proofLabel: p.id}},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: proofHook, FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &seconds,
			AdmissionReviewVersions: []string{"v1"},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{proofLabel: p.id}},
			ClientConfig:            admissionv1.WebhookClientConfig{CABundle: cas, Service: service},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}
	hooks := p.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := hooks.Create(ctx, hook, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating ValidatingWebhookConfiguration %s: %w", hook.Name, err)
	}
	return nil
}

func proofName(id string) string { return "kubecomm-tunnel-proof-" + id }

// tryWebhook makes the object, as far as to try it.
func (p tunnelProof) tryWebhook(ctx context.Context) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: proofName(p.id), Labels: map[string]string{proofLabel: p.id}}}
	_, err := p.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).
		Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return errors.New("it doesn't ask the webhook yet")
	case p.hasAsked(err):
		return nil
	}
	return err
}

// hasAsked reports whether a webhook's server was reached, which didn't understand what it was asked.
func (w proofWays) hasAsked(err error) bool {
	return err != nil && strings.Contains(err.Error(), "failed calling webhook \""+proofHook+"\"") &&
		slices.ContainsFunc(w.asked, func(said string) bool { return strings.Contains(err.Error(), said) })
}

// proofHook is the name of the webhook within its configuration.
const proofHook = "tunnel-proof.kubecomm.io"

// clearProofs removes what proofs have made, also one whose provider was killed. The webhook goes first: it must not be asked
// about anything once nothing leads to it.
func clearProofs(ctx context.Context, client apiClient) error {
	labelled := metav1.ListOptions{LabelSelector: proofLabel}
	err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, labelled)
	services := client.CoreV1().Services(metav1.NamespaceSystem)
	left, listErr := services.List(ctx, labelled)
	if err = errors.Join(err, listErr); err == nil {
		for _, service := range left.Items {
			err = errors.Join(err, ignoreNotFound(services.Delete(ctx, service.Name, metav1.DeleteOptions{})))
		}
	}
	if err != nil {
		return fmt.Errorf("removing what proves that webhooks are reached through a tunnel: %w", err)
	}
	return nil
}
