package proxypaths

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func everyPod() suite.Check {
	return suite.Check{
		ID: area + "pod-on-every-node", Sentence: "pods are reached on every node", Answers: []string{"C1", "C7"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			for _, pod := range s.Pods() {
				if err := reaches(ctx, s, e, pod.ProxyPath(), pod.Hostname()); err != nil {
					return fmt.Errorf("the pod on node %s: %w", pod.Node, err)
				}
			}
			return nil
		},
	}
}

// nodes asks every kubelet through the proxy: whatever is before a node's name, its kubelet's port, or none, is asked over HTTPS
// (Kubernetes v1.37.1, pkg/registry/core/node/strategy.go, ResourceLocation).
func nodes() suite.Check {
	return suite.Check{
		ID: area + "node",
		Sentence: "a node's name leads to the kubelet: alone, with the kubelet's port or an empty one, and with https: or http: before it, " +
			"which is HTTPS all the same",
		Answers: []string{"C1", "A9"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			for _, node := range s.Nodes {
				withPort, withEmpty := fmt.Sprintf("%s:%d", node.Name, kubelet.Port), node.Name+":"
				for _, name := range []string{
					node.Name, withPort, withEmpty, "https:" + withPort, "https:" + withEmpty, "http:" + withPort, "http:" + withEmpty,
				} {
					if err := reaches(ctx, s, e, "/api/v1/nodes/"+name+"/proxy/healthz", "ok"); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// nodesPorts asks the server of a pod that shares its node's network.
func nodesPorts() suite.Check {
	return suite.Check{
		ID:       area + "node-port",
		Sentence: "a node's name and another port than the kubelet's lead to that port, over HTTP, whether http: is before it or not",
		Answers:  []string{"C1", "C7", "A9"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			node := s.LastNode()
			word, port := cryptorand.Text(), freePort()
			if err := serveOnNode(ctx, s, node, port, word); err != nil {
				return err
			}
			for _, scheme := range []string{"", "http:"} {
				at := fmt.Sprintf("/api/v1/nodes/%s%s:%d/proxy/", scheme, node.Name, port)
				if err := reaches(ctx, s, e, at, word); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// freePort is one that neither services (30000 and above) nor clients (32768 and above) are given, in which two runs hardly meet.
func freePort() int32 { return 20000 + rand.Int32N(10000) }

func serveOnNode(ctx context.Context, s *suite.Subject, node suite.Node, port int32, word string) error {
	const name = "proxied-node-port"
	pod := s.NewPod(node, name, corev1.Container{
		Name: name, Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent,
		Args:  []string{"porter"}, // which says one word, and can do nothing else
		Env:   []corev1.EnvVar{{Name: fmt.Sprintf("SERVE_PORT_%d", port), Value: word}},
		Ports: []corev1.ContainerPort{{ContainerPort: port, HostPort: port}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(port)},
		}},
	})
	pod.Spec.HostNetwork = true
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	return s.WaitReady(ctx, name)
}
