package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// hostPod is a pod that shares its node's network, and does nothing. A port that is forwarded to it is one of the node's loopback
// address: so what only listens there is reached on any cluster, and what a node's firewall keeps from others.
func (s *Subject) hostPod(node Node) *corev1.Pod {
	pod := s.NewPod(node, HostPod(node), corev1.Container{
		Name: "host", Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"pause"},
	})
	pod.Spec.HostNetwork = true
	return pod
}

// NewPod is a pod for a node, whatever its taints, that is given no token and ends at once.
func (s *Subject) NewPod(node Node, name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:                      node.Name,
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:                    containers,
		},
	}
}

// HostPod names the run's pod that shares a node's network.
func HostPod(node Node) string { return "host-" + node.Name }

func (s *Subject) deployHosts(ctx context.Context) error {
	for _, node := range s.Nodes {
		if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, s.hostPod(node), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for _, node := range s.Nodes {
		if err := s.WaitReady(ctx, HostPod(node)); err != nil {
			return err
		}
	}
	return nil
}

// WaitReady waits for a pod of the run's namespace.
func (s *Subject) WaitReady(ctx context.Context, pod string) error {
	return workload.WaitReady(ctx, s.Client, s.Namespace, pod, ReadyLimit)
}

// Dial connects to a port of a node's loopback address.
func (s *Subject) Dial(ctx context.Context, node Node, port uint16) (net.Conn, error) {
	return s.DialPod(ctx, HostPod(node), port)
}

// DialPod connects to a port of a pod of the run's namespace.
func (s *Subject) DialPod(ctx context.Context, pod string, port uint16) (net.Conn, error) {
	target := s.Client.CoreV1().RESTClient().Get().Resource("pods").Namespace(s.Namespace).Name(pod).
		SubResource("portforward").URL()
	conn, err := DialForward(ctx, s.Admin, target, port)
	if err != nil {
		err = fmt.Errorf("forwarding port %d of pod %s: %w", port, pod, err)
	}
	return conn, err
}

// DialForward connects to a port that is forwarded over a WebSocket from a URL. Each connection is forwarded by itself, because the
// first that fails ends all that share a forward (client-go v0.37.2, tools/portforward/portforward.go, handleConnection).
func DialForward(ctx context.Context, config *rest.Config, target *url.URL, port uint16) (net.Conn, error) {
	forwarding, end := context.WithCancel(context.WithoutCancel(ctx))
	at, err := forward(ctx, forwarding, config, target, port)
	if err == nil {
		var conn net.Conn
		if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", at); err == nil {
			return &forwarded{conn, end}, nil
		}
	}
	end()
	return nil, err
}

// forwarded is a connection that ends its forward.
type forwarded struct {
	net.Conn

	end func()
}

func (f *forwarded) Close() error {
	defer f.end()
	return f.Conn.Close()
}

// forward returns where the port is forwarded from, until forwarding ends.
func forward(ctx, forwarding context.Context, config *rest.Config, target *url.URL, port uint16) (string, error) {
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, config)
	if err != nil {
		return "", err
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesWithContext(
		forwarding, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ready, io.Discard, io.Discard)
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
	ports, err := forwarder.GetPorts()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0].Local)), nil
}

// OnNode is a client of what listens on a port of a node's loopback address, whatever is in the URL's place for it.
func (s *Subject) OnNode(node Node, port uint16) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx, node, port) }
}
