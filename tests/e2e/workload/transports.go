package workload

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
)

// streamTransport carries standard streams to and from a subresource of a pod.
type streamTransport func(pod Pod, subresource string, options runtime.Object) (remotecommand.Executor, error)

func webSocket(pod Pod, subresource string, options runtime.Object) (remotecommand.Executor, error) {
	return remotecommand.NewWebSocketExecutor(pod.config, http.MethodGet, pod.url(subresource, options).String())
}

func spdyStream(pod Pod, subresource string, options runtime.Object) (remotecommand.Executor, error) {
	return remotecommand.NewSPDYExecutor(pod.config, http.MethodPost, pod.url(subresource, options))
}

// tunnelTransport carries TCP connections to the pod's server. What goes wrong with one of them is written to problems.
type tunnelTransport func(ctx context.Context, pod Pod, t tunnel) (*portforward.PortForwarder, error)

// tunnel is what both kinds have in common.
type tunnel struct {
	ready    chan struct{}
	problems io.Writer
}

var (
	tunnelAddresses = []string{"127.0.0.1"}
	tunnelPorts     = []string{fmt.Sprintf("0:%d", serverPort)}
)

func webSocketTunnel(ctx context.Context, pod Pod, t tunnel) (*portforward.PortForwarder, error) {
	target := pod.url("portforward", &corev1.PodPortForwardOptions{})
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, pod.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewOnAddressesWithContext(
		ctx, dialer, tunnelAddresses, tunnelPorts, t.ready, io.Discard, t.problems)
}

func spdyTunnel(ctx context.Context, pod Pod, t tunnel) (*portforward.PortForwarder, error) {
	transport, upgrader, err := spdy.RoundTripperFor(pod.config)
	if err != nil {
		return nil, err
	}
	target := pod.url("portforward", &corev1.PodPortForwardOptions{})
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	return portforward.NewOnAddressesWithContext(
		ctx, dialer, tunnelAddresses, tunnelPorts, t.ready, io.Discard, t.problems)
}

func (p Pod) url(subresource string, options runtime.Object) *url.URL {
	return p.client.CoreV1().RESTClient().Get().Resource("pods").Namespace(p.namespace).Name(p.name).
		SubResource(subresource).VersionedParams(options, scheme.ParameterCodec).URL()
}
