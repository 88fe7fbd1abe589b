package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// eachAPIServer returns the lab as the apiserver of each control plane sees it: of several, kind's load balancer would choose.
func (l *lab) eachAPIServer(ctx context.Context, t *testing.T) map[string]*lab {
	t.Helper()
	all := map[string]*lab{}
	for _, node := range l.cluster.ControlPlanes() {
		if len(l.cluster.ControlPlanes()) == 1 {
			all[node.Name()] = l
			continue
		}
		direct, err := l.through(ctx, t, node)
		require.NoError(t, err)
		all[node.Name()] = direct
	}
	return all
}

// through is the lab whose requests go to one control plane.
func (l *lab) through(ctx context.Context, t *testing.T, node *cluster.Node) (*lab, error) {
	t.Helper()
	address, err := relay(ctx, t, node, net.JoinHostPort(node.Addresses()[0].String(), "6443"))
	if err != nil {
		return nil, err
	}
	direct := *l
	direct.asked = node
	direct.config = rest.CopyConfig(l.config)
	direct.config.Host = "https://" + address
	direct.config.ServerName = "kubernetes"
	if direct.client, err = kubernetes.NewForConfig(direct.config); err != nil {
		return nil, err
	}
	direct.backend.client = direct.client
	direct.pods = nil
	for _, pod := range l.pods {
		pod, err := pod.By(direct.config)
		if err != nil {
			return nil, err
		}
		direct.pods = append(direct.pods, pod)
	}
	return &direct, nil
}

// relay listens on the loopback address, until the test ends, for what is to reach an address in a node. Clients of streams
// can't be given a dialler of their own.
func relay(ctx context.Context, t *testing.T, node *cluster.Node, to string) (string, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a way to node %s: %w", node.Name(), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go carry(ctx, client, node, to)
		}
	}()
	return listener.Addr().String(), nil
}

func carry(ctx context.Context, client net.Conn, node *cluster.Node, to string) {
	defer func() { _ = client.Close() }()
	server, err := node.Dial(ctx, to)
	if err != nil {
		return // the client sees that it is closed
	}
	defer func() { _ = server.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pass(server, client)
	go pass(client, server)
	<-done
}
