package outside

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// The server and its service have different names: what answers with its own name is then known from what repeats a URL.
const (
	server     = "outside-server"
	service    = "reached"
	port       = 80
	serverPort = 8080
)

// beds have the server and its service.
type beds struct{ suite.Shared[*corev1.Service] }

func newBeds() *beds {
	return &beds{suite.Shared[*corev1.Service]{What: "the service that is reached from outside", Build: makeBed}}
}

func makeBed(ctx context.Context, s *suite.Subject) (*corev1.Service, error) {
	labels := map[string]string{"app": server}
	made, err := s.Client.CoreV1().Services(s.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: labels,
			Ports: []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(serverPort)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	pod := s.NewPod(s.LastNode(), server, corev1.Container{
		Name: "server", Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent,
		Args:  []string{"netexec", fmt.Sprintf("--http-port=%d", serverPort), "--udp-port=-1"},
		Ports: []corev1.ContainerPort{{ContainerPort: serverPort}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(serverPort)},
		}},
	})
	pod.Labels = labels
	_, err = s.Client.CoreV1().Pods(s.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return made, s.WaitReady(ctx, server)
}
