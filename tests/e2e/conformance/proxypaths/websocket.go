package proxypaths

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// The pod that serves WebSockets: a kubectl proxy, which leads back to the API, and there to the server's port. Its service is named as it is, and so are its account and what that may do.
const (
	upgraded     = "proxied-websocket"
	upgradedPort = 8001
	versionPath  = "/version"
)

// webSockets are checks of a second bed, lest the others need an image of kubectl.
func webSockets(server *bed) []suite.Check {
	b := newBed("what WebSockets lead to", func(ctx context.Context, s *suite.Subject) error {
		if _, err := server.Get(ctx, s); err != nil {
			return err
		}
		return makeUpgraded(ctx, s)
	})
	var checks []suite.Check
	for _, form := range []struct{ kind, name string }{
		{"pods", fmt.Sprintf("%s:%d", upgraded, upgradedPort)}, {"services", upgraded + ":80"},
	} {
		checks = append(checks, suite.Check{
			ID:       area + form.kind + "-websocket",
			Sentence: fmt.Sprintf("WebSockets to %s pass: what a client sends arrives, and what it is answered comes back", form.kind),
			Answers:  []string{"A7", "A12"},
			Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
				target := s.Client.CoreV1().RESTClient().Get().AbsPath(path(s, form.kind, form.name, ""), forwardPath(s)).URL()
				what := "a WebSocket through " + target.Path
				return wait.Until(ctx, what, wait.Options{Limit: answerLimit, Every: time.Second}, func(ctx context.Context) error {
					return converse(ctx, s.Admin, e, target)
				})
			},
		})
	}
	return prepare(b, checks)
}

func makeUpgraded(ctx context.Context, s *suite.Subject) error {
	// Whoever reaches the pod may do what its account may.
	err := s.MakeAccount(ctx, upgraded, rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"pods/portforward"}, ResourceNames: []string{server}, Verbs: []string{"get", "create"},
	})
	if err != nil {
		return err
	}
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, upgradedPod(s), metav1.CreateOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: upgraded}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": upgraded},
		Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(upgradedPort)}},
	}}
	if _, err := s.Client.CoreV1().Services(s.Namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	return s.WaitReady(ctx, upgraded)
}

func upgradedPod(s *suite.Subject) *corev1.Pod {
	pod := s.NewPod(s.LastNode(), upgraded, corev1.Container{
		Name: "kubectl", Image: s.Images.Kubectl, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{
			"kubectl", "proxy", fmt.Sprintf("--port=%d", upgradedPort), "--address=", "--accept-hosts=.*",
			"--accept-paths=^" + versionPath + "$,^" + forwardPath(s) + "$",
		},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: versionPath, Port: intstr.FromInt32(upgradedPort)}},
			PeriodSeconds: 1, TimeoutSeconds: 5,
		},
	})
	pod.Labels = map[string]string{"app": upgraded}
	pod.Spec.ServiceAccountName, pod.Spec.AutomountServiceAccountToken = upgraded, new(true)
	return pod
}

func forwardPath(s *suite.Subject) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/portforward", s.Namespace, server)
}

// answerLimit leaves time for a new role to be known.
const answerLimit = 20 * time.Second

// converse upgrades a request through the proxy to a WebSocket, to which the API's port-forward answers, and asks the server whose
// port it is for a word. A server that doesn't switch protocols is an error of the client's. Commands and watches would have to say
// in their query what they are, which the proxy drops where it upgrades (kubernetes/kubernetes issue 77142).
func converse(ctx context.Context, config *rest.Config, e *suite.Evidence, target *url.URL) error {
	word := rand.Text()
	request := probe.Request{
		URL: "http://" + net.JoinHostPort(server, fmt.Sprint(plainPort)) + "/echo?msg=" + word,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := suite.DialForward(ctx, config, target, plainPort)
			if err == nil {
				e.Note("GET %s → %d %s", target.Path, http.StatusSwitchingProtocols, http.StatusText(http.StatusSwitchingProtocols))
			}
			return conn, err
		},
	}
	_, err := probe.Expect(ctx, e, request, http.StatusOK, word)
	return err
}
