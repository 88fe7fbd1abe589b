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

// forwards are ports of pods that are forwarded to this machine, each until the run or the forward ends.
type forwards struct {
	mu    sync.Mutex
	ports map[string]string // where each is forwarded from
	ended context.Context
	end   func()
}

// hostPod is a pod that shares its node's network, and does nothing. A port that is forwarded to it is one of the node's loopback
// address: so what only listens there is reached on any cluster, and what a node's firewall keeps from others.
func (s *Subject) hostPod(node Node) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: hostPodName(node)},
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

func hostPodName(node Node) string { return "host-" + node.Name }

func (s *Subject) deployHosts(ctx context.Context) error {
	s.forwards.ports = map[string]string{}
	s.forwards.ended, s.forwards.end = context.WithCancel(context.WithoutCancel(ctx))
	for _, node := range s.Nodes {
		if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, s.hostPod(node), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for _, node := range s.Nodes {
		if err := s.WaitReady(ctx, hostPodName(node)); err != nil {
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
	return s.DialPod(ctx, hostPodName(node), port)
}

// DialPod connects to a port of a pod of the run's namespace.
func (s *Subject) DialPod(ctx context.Context, pod string, port uint16) (net.Conn, error) {
	at, err := s.forward(ctx, pod, port)
	if err != nil {
		return nil, fmt.Errorf("forwarding port %d of pod %s: %w", port, pod, err)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", at)
}

// forward returns where the port is forwarded from.
func (s *Subject) forward(ctx context.Context, pod string, port uint16) (string, error) {
	f := &s.forwards
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprintf("%s:%d", pod, port)
	if at, known := f.ports[key]; known {
		return at, nil
	}
	target := s.Client.CoreV1().RESTClient().Get().Resource("pods").Namespace(s.Namespace).Name(pod).
		SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, s.Admin)
	if err != nil {
		return "", err
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesWithContext(
		f.ended, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ready, io.Discard, io.Discard)
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
	f.ports[key] = net.JoinHostPort("127.0.0.1", fmt.Sprint(forwarded[0].Local))
	go func() { // a connection that the pod's port refuses ends all of a forward
		_ = <-ended // every later connection is forwarded anew
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.ports, key)
	}()
	return f.ports[key], nil
}

// OnNode is a client of what listens on a port of a node's loopback address, whatever is in the URL's place for it.
func (s *Subject) OnNode(node Node, port uint16) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx, node, port) }
}
