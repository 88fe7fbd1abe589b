package apply

import (
	"bufio"
	"bytes"
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
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// An apiserver with a tunnel is proved to reach kubelets, as any is, and also pods, services and webhooks, which go no other
// way. What there is to reach in every cluster is the tunnel's own server, at the port for agents: it speaks gRPC, and nothing
// that an apiserver asks it for, but says so. To have been told that by way of an agent is what counts.

// tunnelProofLimit is how long an apiserver may take until it reaches all that: agents were connected before, and so what is
// waited for is what it learns from the API, such as where the Service leads.
const tunnelProofLimit = time.Minute

const proofLabel = "kubecomm.io/tunnel-proof"

// proveTunnel does nothing with an apiserver that has no tunnel of kubecomm's.
func (s *swap) proveTunnel(ctx context.Context, server instance, file string) error {
	manifest, err := readManifest(ctx, server.node, file, server.container)
	if err != nil {
		return err
	}
	if !tunnelled(manifest.Flags()) {
		return nil
	}
	client, err := server.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	proof := tunnelProof{target: s.target, server: server, client: client, id: rand.String(8)}
	ways := []struct {
		what string
		try  func(context.Context) error
	}{
		{"a pod", proof.counted(proof.tryPod)},
		// Behind the Service is the same server, for which the connection that leads to it is used again.
		{"a service", proof.tryService},
		{"a webhook", proof.counted(proof.tryWebhook)},
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
	for _, way := range ways {
		what := fmt.Sprintf("%s on node %s to reach %s through the tunnel", server.container, server.node.Name(), way.what)
		err := wait.Until(ctx, what, wait.Options{Limit: tunnelProofLimit, Every: proofPause}, way.try)
		if err != nil {
			return err
		}
	}
	return nil
}

func tunnelled(flags controlplane.Flags) bool {
	file, given := flags.Get(egressFlag)
	return given && ours(file)
}

type tunnelProof struct {
	target Target
	server instance
	client apiClient
	id     string // of what is made for this proof
}

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
	return sumMetric(data, dialsMetric), nil
}

// sumMetric adds up what a counter says, whatever its labels are.
func sumMetric(data []byte, name string) int {
	total := 0.0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, has := strings.CutPrefix(lines.Text(), name)
		if !has || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		if value, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64); err == nil {
			total += value
		}
	}
	return int(total)
}

func (p tunnelProof) tryPod(ctx context.Context) error {
	name := fmt.Sprintf("https:%s-%s:%d", konnectivity.ServerName, p.server.node.Name(), konnectivity.AgentPort)
	return p.ask(ctx, "pods", name)
}

func (p tunnelProof) tryService(ctx context.Context) error {
	return p.ask(ctx, "services", "https:"+konnectivity.ServerName+":agents")
}

func (p tunnelProof) ask(ctx context.Context, resource, name string) error {
	url := p.client.CoreV1().RESTClient().Get().Namespace(konnectivity.Namespace).Resource(resource).Name(name).
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
	// What is no gRPC is refused by gRPC's own kind of answer, which no apiserver gives by itself.
	if response.Header.Get("Content-Type") == "application/grpc" {
		return nil
	}
	return fmt.Errorf("GET %s: %w", url.Path, explainRefusal(response))
}

// putWebhook has the apiserver ask the tunnel's server about one object that nobody else makes.
func (p tunnelProof) putWebhook(ctx context.Context) error {
	var cas []byte
	for _, node := range p.target.controlPlanes() {
		file, err := node.ReadFile(ctx, konnectivity.CACert)
		if err != nil {
			return err
		}
		cas = append(cas, file.Data...)
	}
	fail, none, seconds, port := admissionv1.Fail, admissionv1.SideEffectClassNone, int32(5), int32(konnectivity.AgentPort)
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: p.name(), Labels: map[string]string{managedLabel: managedBy, proofLabel: p.id}},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: proofHook, FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &seconds,
			AdmissionReviewVersions: []string{"v1"},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{proofLabel: p.id}},
			ClientConfig: admissionv1.WebhookClientConfig{
				CABundle: cas, Service: &admissionv1.ServiceReference{
					Namespace: konnectivity.Namespace, Name: konnectivity.ServerName, Port: &port,
				},
			},
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

func (p tunnelProof) name() string { return "kubecomm-tunnel-proof-" + p.id }

// tryWebhook makes the object, as far as to try it.
func (p tunnelProof) tryWebhook(ctx context.Context) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: p.name(), Labels: map[string]string{proofLabel: p.id}}}
	_, err := p.client.CoreV1().ConfigMaps(konnectivity.Namespace).
		Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return errors.New("it doesn't ask the webhook yet")
	case hungUp(err):
		return nil
	}
	return err
}

// hungUp reports whether a webhook's server, after it has shown a certificate that the apiserver trusts, didn't understand what
// it was asked. gRPC servers end a connection on which they are spoken to in HTTP/1.1, as apiservers speak to webhooks, some
// after a word in HTTP/2; those of which a client has to say that it speaks HTTP/2 do so while the connection is made.
func hungUp(err error) bool {
	if err == nil || !strings.Contains(err.Error(), "failed calling webhook \""+proofHook+"\"") {
		return false
	}
	return slices.ContainsFunc([]string{": EOF", "malformed HTTP response", "tls: no application protocol"}, func(said string) bool {
		return strings.Contains(err.Error(), said)
	})
}

// proofHook is the name of the webhook within its configuration.
const proofHook = "tunnel-proof.kubecomm.io"

// clearProofs removes what proofs have made, also one whose provider was killed.
func clearProofs(ctx context.Context, client apiClient) error {
	hooks := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	err := hooks.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: proofLabel})
	if err != nil {
		return fmt.Errorf("removing what proves that webhooks are reached through a tunnel: %w", err)
	}
	return nil
}
