package apply

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// probeLimit bounds one look at a server.
const probeLimit = 15 * time.Second

// servedChain returns the certificates that a TLS server shows to a client on the node. The handshake verifies
// nothing: the caller judges the chain, also one that no client would accept.
func servedChain(ctx context.Context, from Node, address netip.AddrPort) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	raw, err := from.Dial(ctx, address.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	defer func() { _ = conn.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake with %s from node %s: %w", address, from.Name(), err)
	}
	return conn.ConnectionState().PeerCertificates, nil
}

// checkReady asks the apiserver itself, not a load balancer, whether it is ready.
func checkReady(ctx context.Context, target Target, server instance) error {
	client, err := server.client(ctx, target)
	if err != nil {
		return err
	}
	defer client.close()
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("GET /readyz of the %s on node %s: %w", server.container, server.node.Name(), err)
	}
	return nil
}

// checkReaches makes the apiserver talk to every kubelet: it asks for the kubelet's health through the node
// proxy, which uses the verified kubelet connection whatever else is configured, and for the log of a pod there.
func checkReaches(ctx context.Context, target Target, server instance) error {
	client, err := server.client(ctx, target)
	if err != nil {
		return err
	}
	defer client.close()
	for _, peer := range target.Nodes {
		request := client.CoreV1().RESTClient().Get().Resource("nodes").Name(peer.Name()).SubResource("proxy", "healthz")
		// DoRaw would keep from us what the apiserver says of the kubelet.
		if err := request.Do(ctx).Error(); err != nil {
			return fmt.Errorf("the %s on node %s can't reach the kubelet of node %s: %w",
				server.container, server.node.Name(), peer.Name(), err)
		}
		if err := readSomeLog(ctx, client, peer.Name()); err != nil {
			return fmt.Errorf("through the %s on node %s, reading a log on node %s: %w",
				server.container, server.node.Name(), peer.Name(), err)
		}
	}
	return nil
}

// readSomeLog reads a line of the log of any running container on the node, if there is one.
func readSomeLog(ctx context.Context, client apiClient, nodeName string) error {
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"spec.nodeName": nodeName, "status.phase": string(corev1.PodRunning)}.String(),
	})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Running == nil {
				continue
			}
			lines := int64(1)
			options := &corev1.PodLogOptions{Container: container.Name, TailLines: &lines}
			return client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Do(ctx).Error()
		}
	}
	return nil
}
