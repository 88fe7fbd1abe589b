package proxypaths

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// The server and its services.
const (
	server    = "proxied"       // a pod with a plain and a secure port
	plainPort = 8080            // its first
	tlsPort   = 8443            // with a certificate that no client can verify
	named     = "proxied-named" // a service whose ports have names
	plain     = "proxied-plain" // a service with one port that has none
	secure    = "proxied-secure"
	empty     = "proxied-empty" // a service that nothing is behind
)

// bed is what the proxy leads to.
type bed = suite.Shared[struct{}]

func newBed(what string, build func(context.Context, *suite.Subject) error) *bed {
	return &bed{What: what, Build: func(ctx context.Context, s *suite.Subject) (struct{}, error) { return struct{}{}, build(ctx, s) }}
}

func makeBed(ctx context.Context, s *suite.Subject) error {
	secret, err := badCertificate()
	if err != nil {
		return err
	}
	if _, err := s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, serverPod(s), metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, service := range services() {
		if _, err := s.Client.CoreV1().Services(s.Namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return s.WaitReady(ctx, server)
}

// badCertificate is of a CA that nobody has, for a name and an address that the server doesn't have (of documentation, RFC 5737), and
// expired.
func badCertificate() (*corev1.Secret, error) {
	longAgo := time.Now().Add(-48 * time.Hour)
	ca, err := pki.NewCA("stranger", longAgo)
	if err != nil {
		return nil, err
	}
	certificate, err := ca.IssueServing(pki.ServingRequest{
		Node: "elsewhere.example", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Lifetime: time.Hour, Now: longAgo,
	})
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: server}, Data: map[string][]byte{
		"tls.crt": pki.EncodeBundle(certificate.Certificate), "tls.key": certificate.Key.Reveal(),
	}}, nil
}

func serverPod(s *suite.Subject) *corev1.Pod {
	container := func(name string, port int32, scheme corev1.URIScheme, flags ...string) corev1.Container {
		return corev1.Container{
			Name: name, Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent,
			Args:         append([]string{"netexec", fmt.Sprintf("--http-port=%d", port), "--udp-port=-1"}, flags...),
			Ports:        []corev1.ContainerPort{{ContainerPort: port}},
			VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}},
			ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path: "/hostname", Port: intstr.FromInt32(port), Scheme: scheme,
			}}},
		}
	}
	pod := s.NewPod(s.LastNode(), server,
		container("plain", plainPort, corev1.URISchemeHTTP),
		container("tls", tlsPort, corev1.URISchemeHTTPS, "--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key"))
	pod.Labels = map[string]string{"app": server}
	pod.Spec.Volumes = []corev1.Volume{{
		Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: server}},
	}}
	return pod
}

func services() []*corev1.Service {
	service := func(name, app string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": app}, Ports: ports},
		}
	}
	port := func(name string, number, target int32) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: number, TargetPort: intstr.FromInt32(target)}
	}
	return []*corev1.Service{
		service(named, server, port("web", 80, plainPort), port("secure", 443, tlsPort)),
		service(plain, server, port("", 80, plainPort)),
		service(secure, server, port("", 443, tlsPort)),
		service(empty, "nothing-has-this-label", port("", 80, plainPort)),
	}
}
