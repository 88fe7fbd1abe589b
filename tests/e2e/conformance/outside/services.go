package outside

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// fromPod has a pod of the run ask for the name of the server that is behind an address.
func fromPod(ctx context.Context, s *suite.Subject, e *suite.Evidence, pod workload.Pod, host string, port int32) error {
	query := url.Values{"host": {host}, "port": {fmt.Sprint(port)}, "protocol": {"http"}, "request": {"hostname"}}
	request, err := probe.API(s.Admin, strings.TrimSuffix(pod.ProxyPath(), "hostname")+"dial?"+query.Encode())
	if err != nil {
		return err
	}
	if _, err := probe.Await(ctx, e, request, `"responses":["`+server+`"]`); err != nil {
		return fmt.Errorf("from the pod on node %s: %w", pod.Node, err)
	}
	return nil
}

// fromEveryPod asks from a pod on every node.
func fromEveryPod(ctx context.Context, s *suite.Subject, e *suite.Evidence, host string) error {
	for _, pod := range s.Pods() {
		if err := fromPod(ctx, s, e, pod, host, port); err != nil {
			return err
		}
	}
	return nil
}

// nodePort asks at the address that the node's kubelet is reached by; at its loopback address some modes of kube-proxy serve no
// ports. It asks from inside of the cluster: what is before its nodes may let nothing through.
func (b *beds) nodePort() suite.Check {
	return suite.Check{
		ID:       area + "node-port",
		Sentence: "a service is reached by its port at every node's address, whichever node its pod runs on",
		Answers:  []string{"A7", "A12"}, Limit: suite.SharedLimit,
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *corev1.Service) error {
			at := made.Spec.Ports[0].NodePort
			if at == 0 {
				return errors.New("the service was given no port of nodes")
			}
			for _, node := range s.Nodes {
				if err := fromPod(ctx, s, e, s.Pods()[0], node.Addresses[0], at); err != nil {
					return fmt.Errorf("port %d of node %s: %w", at, node.Name, err)
				}
			}
			return nil
		}),
	}
}

func proxied(s *suite.Subject) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%d/proxy/hostname", s.Namespace, service, port)
}

func (b *beds) proxyVerb() suite.Check {
	return suite.Check{
		ID:       area + "proxy-verb",
		Sentence: "the same service is reached from outside through the apiserver, by a client that it knows",
		Answers:  []string{"A7", "A9"}, Limit: suite.SharedLimit,
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, _ *corev1.Service) error {
			request, err := verified(s.Admin, proxied(s))
			if err != nil {
				return err
			}
			_, err = probe.Await(ctx, e, request, server)
			return err
		}),
	}
}

func (b *beds) clusterIP() suite.Check {
	return suite.Check{
		ID:       area + "cluster-ip",
		Sentence: "the same service is reached directly from pods on every node, by its virtual address",
		Answers:  []string{"A7", "A12"}, Limit: suite.SharedLimit,
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *corev1.Service) error {
			return fromEveryPod(ctx, s, e, made.Spec.ClusterIP)
		}),
	}
}

func (b *beds) byName() suite.Check {
	return suite.Check{
		ID:       area + "service-name",
		Sentence: "the same service is reached directly from pods on every node, by its name",
		Answers:  []string{"A7"}, Limit: suite.SharedLimit,
		Try: b.With(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, _ *corev1.Service) error {
			return fromEveryPod(ctx, s, e, service+"."+s.Namespace+".svc")
		}),
	}
}
