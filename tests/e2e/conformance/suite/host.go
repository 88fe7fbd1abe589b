package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// host is a node's network as it is seen from a pod that shares it: a port that is forwarded to such a pod is one of the node's
// loopback address. So what only listens there is reached on any cluster, and what a node's firewall keeps from others.
type host struct {
	subject *Subject
	pod     string

	mu    sync.Mutex
	ports map[uint16]string // where each is forwarded from
	stop  func()
	ended context.Context
}

// hostPod is a pod that shares its node's network, and does nothing.
func (s *Subject) hostPod(node Node) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "host-" + node.Name},
		Spec: corev1.PodSpec{
			NodeName:                      node.Name,
			HostNetwork:                   true,
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "host", Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"pause"},
			}},
		},
	}
}

func (s *Subject) deployHosts(ctx context.Context) error {
	pods := s.Client.CoreV1().Pods(s.Namespace)
	s.hosts = map[string]*host{}
	for _, node := range s.Nodes {
		if _, err := pods.Create(ctx, s.hostPod(node), metav1.CreateOptions{}); err != nil {
			return err
		}
		h := &host{subject: s, pod: "host-" + node.Name, ports: map[uint16]string{}}
		h.ended, h.stop = context.WithCancel(context.WithoutCancel(ctx))
		s.hosts[node.Name] = h
	}
	for _, node := range s.Nodes {
		if err := s.WaitReady(ctx, "host-"+node.Name); err != nil {
			return err
		}
	}
	return nil
}

// WaitReady waits for a pod of the run's namespace.
func (s *Subject) WaitReady(ctx context.Context, pod string) error {
	what := fmt.Sprintf("pod %s to be ready", pod)
	return wait.Until(ctx, what, wait.Options{Limit: startLimit}, func(ctx context.Context) error {
		found, err := s.Client.CoreV1().Pods(s.Namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return workload.Ready(found)
	})
}

// Dial connects to a port of a node's loopback address.
func (s *Subject) Dial(ctx context.Context, node Node, port uint16) (net.Conn, error) {
	known := s.hosts[node.Name]
	if known == nil {
		return nil, fmt.Errorf("the run has no pod in the network of node %s", node.Name)
	}
	at, err := known.forward(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("forwarding port %d of node %s: %w", port, node.Name, err)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", at)
}

// forward returns where the port is forwarded from. It stays so until the run ends.
func (h *host) forward(ctx context.Context, port uint16) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, known := h.ports[port]; known {
		return at, nil
	}
	s := h.subject
	target := s.Client.CoreV1().RESTClient().Get().Resource("pods").Namespace(s.Namespace).Name(h.pod).
		SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, s.Admin)
	if err != nil {
		return "", err
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesWithContext(
		h.ended, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ready, io.Discard, io.Discard)
	if err != nil {
		return "", err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return "", errors.Join(errors.New("it ended before it began"), err)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	forwarded, err := forwarder.GetPorts()
	if err != nil {
		return "", err
	}
	h.ports[port] = net.JoinHostPort("127.0.0.1", fmt.Sprint(forwarded[0].Local))
	return h.ports[port], nil
}

func (h *host) close() { h.stop() }

// OnNode is a client of what listens on a port of a node's loopback address, whatever is in the URL's place for it.
func (s *Subject) OnNode(node Node, port uint16) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx, node, port) }
}
