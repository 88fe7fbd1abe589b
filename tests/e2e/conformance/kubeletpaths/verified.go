package kubeletpaths

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// unverified is how every refusal begins that comes from verifying a certificate, as crypto/tls words it.
const unverified = "tls: failed to verify certificate: x509: "

// verified passes a server off as a node's kubelet: a pod that serves HTTPS with a certificate of a CA nobody knows, and a Node
// object with that pod's address. It changes no node that there is.
func verified() suite.Check {
	i := &passer{}
	return suite.Check{
		ID:       area + "kubelets-verified",
		Sentence: "the apiserver refuses to talk to a kubelet whose serving certificate nobody that it trusts has signed",
		Answers:  []string{"C3", "C4", "CIS 1.2.5"},
		Limit:    suite.ReadyLimit + time.Minute,
		Refusal:  unverified,
		// The apiserver's proxy to services verifies nothing, so that it reaches this very server.
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			if err := i.deploy(ctx, s); err != nil {
				return fmt.Errorf("passing a pod off as a kubelet: %w", err)
			}
			request, err := probe.API(s.Admin, fmt.Sprintf("/api/v1/namespaces/%s/pods/https:%s:%d/proxy/echo?msg=%s",
				s.Namespace, imposterPod, imposterPort, i.word))
			if err != nil {
				return err
			}
			_, err = probe.Expect(ctx, e, request, 200, i.word)
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			request, err := probe.API(s.Admin, fmt.Sprintf("/api/v1/nodes/%s/proxy/echo?msg=%s", s.Meta("imposter").Name, i.word))
			if err != nil {
				return err
			}
			answer, err := probe.Do(ctx, e, request)
			if err != nil {
				return err
			}
			refused := strings.Contains(answer.Body, unverified)
			switch believed := answer.Status == 200 && strings.Contains(answer.Body, i.word); {
			case refused:
				return nil
			case believed && !s.Expect.VerifiesKubelets():
				e.Unsafe("the apiserver took a stranger for a kubelet, and showed it its client certificate")
				return nil
			case believed:
				return fmt.Errorf("the apiserver took a stranger for a kubelet: it answered %s", answer)
			}
			return fmt.Errorf("the apiserver neither refused the stranger for its certificate nor was answered by it: %s", answer)
		},
	}
}

const (
	imposterPod  = "imposter"
	imposterPort = 10250
)

// passer is the server that is passed off, and what it answers by.
type passer struct{ word string }

func (i *passer) deploy(ctx context.Context, s *suite.Subject) error {
	i.word = strings.ToLower(rand.Text())
	certificate, err := strangersCertificate()
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: imposterPod},
		Data: map[string][]byte{
			"tls.crt": pki.EncodeBundle(certificate.Certificate), "tls.key": certificate.Key.Reveal(),
		},
	}
	if _, err := s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, i.pod(s), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := s.WaitReady(ctx, imposterPod); err != nil {
		return err
	}
	pod, err := s.Client.CoreV1().Pods(s.Namespace).Get(ctx, imposterPod, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return passOff(ctx, s, pod.Status.PodIP)
}

// strangersCertificate is for an address of documentation (RFC 5737): what is refused first is who signed it.
func strangersCertificate() (*pki.ServingCertificate, error) {
	ca, err := pki.NewCA("stranger", time.Now())
	if err != nil {
		return nil, err
	}
	return ca.IssueServing(pki.ServingRequest{
		Node: imposterPod, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Lifetime: time.Hour, Now: time.Now(),
	})
}

func (i *passer) pod(s *suite.Subject) *corev1.Pod {
	pod := s.NewPod(s.LastNode(), imposterPod, corev1.Container{
		Name: "server", Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{
			"netexec", fmt.Sprintf("--http-port=%d", imposterPort), "--udp-port=-1",
			"--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key",
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/hostname", Port: intstr.FromInt32(imposterPort), Scheme: corev1.URISchemeHTTPS,
		}}},
	})
	pod.Spec.Volumes = []corev1.Volume{{
		Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: imposterPod}},
	}}
	return pod
}

// passOff makes a Node with a pod's address. It has no labels by which daemon sets would find it, and nothing is scheduled to it.
func passOff(ctx context.Context, s *suite.Subject, address string) error {
	node := &corev1.Node{
		ObjectMeta: s.Meta("imposter"),
		Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{
			{Key: "kubecomm.dev/imposter", Effect: corev1.TaintEffectNoExecute},
		}},
	}
	if _, err := s.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}}}}`,
		address, imposterPort)
	_, err := s.Client.CoreV1().Nodes().
		Patch(ctx, node.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	return err
}
