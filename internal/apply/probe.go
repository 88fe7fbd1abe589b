package apply

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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

// apiClient talks to one apiserver, from within its node, as the cluster's administrator.
type apiClient struct {
	*kubernetes.Clientset
	http *http.Client
}

func (c apiClient) close() { c.http.CloseIdleConnections() }

func newAPIClient(ctx context.Context, target Target, node Node) (apiClient, error) {
	admin, err := target.Admin(ctx)
	if err != nil {
		return apiClient{}, err
	}
	port := defaultPort
	if manifest, _, err := readManifest(ctx, node); err == nil {
		if text, ok := manifest.Flags().Get(securePortFlag); ok {
			port = text
		}
	}
	config := rest.CopyConfig(admin)
	config.Host = "https://" + net.JoinHostPort(node.Addresses()[0].String(), port)
	config.Timeout = probeLimit
	config.Dial = func(ctx context.Context, _, address string) (net.Conn, error) { return node.Dial(ctx, address) }
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return apiClient{}, err
	}
	clientset, err := kubernetes.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return apiClient{}, err
	}
	return apiClient{Clientset: clientset, http: httpClient}, nil
}

// checkReady asks the apiserver on the node itself, not a load balancer, whether it is ready.
func checkReady(ctx context.Context, target Target, node Node) error {
	client, err := newAPIClient(ctx, target, node)
	if err != nil {
		return err
	}
	defer client.close()
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("GET /readyz of the kube-apiserver on node %s: %w", node.Name(), err)
	}
	return nil
}

// checkReaches makes the apiserver on the node talk to every kubelet: it asks for the kubelet's health through the node
// proxy, which uses the verified kubelet connection whatever else is configured, and for the log of a pod there.
func checkReaches(ctx context.Context, target Target, node Node) error {
	client, err := newAPIClient(ctx, target, node)
	if err != nil {
		return err
	}
	defer client.close()
	for _, peer := range target.Nodes {
		request := client.CoreV1().RESTClient().Get().Resource("nodes").Name(peer.Name()).SubResource("proxy", "healthz")
		// DoRaw would keep from us what the apiserver says of the kubelet.
		if err := request.Do(ctx).Error(); err != nil {
			return fmt.Errorf("the kube-apiserver on node %s can't reach the kubelet of node %s: %w",
				node.Name(), peer.Name(), err)
		}
		if err := readSomeLog(ctx, client, peer.Name()); err != nil {
			return fmt.Errorf("through the kube-apiserver on node %s, reading a log on node %s: %w",
				node.Name(), peer.Name(), err)
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
