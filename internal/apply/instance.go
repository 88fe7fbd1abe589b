package apply

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

// instance is an apiserver on a control plane: the real one, or the trial beside it.
type instance struct {
	node      Node
	container string
	port      string
}

const (
	apiserver      = "kube-apiserver"
	trialName      = "kube-apiserver-next"
	securePortFlag = "secure-port"
	defaultPort    = "6443"
)

// realInstance finds the port in the manifest, because it must be known before the process runs.
func realInstance(ctx context.Context, node Node) instance {
	return instanceOf(ctx, node, apiserver, manifestFile)
}

// instanceOf takes the port from the manifest that the instance was, or will be, started from.
func instanceOf(ctx context.Context, node Node, container, file string) instance {
	server := instance{node: node, container: container, port: defaultPort}
	if manifest, _, err := readManifestFile(ctx, node, file, container); err == nil {
		if port, given := manifest.Flags().Get(securePortFlag); given {
			server.port = port
		}
	}
	return server
}

// flags are those that the instance's process was started with.
func (i instance) flags(ctx context.Context) (controlplane.Flags, error) {
	return runningAPIServerFlags(ctx, i.node, i.container)
}

// apiClient talks to one instance as the cluster's administrator. It dials the node's loopback address, which traffic
// rules leave alone, so that it never reaches another instance.
type apiClient struct {
	*kubernetes.Clientset
	http *http.Client
	tls  *tls.Config
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c apiClient) close() { c.http.CloseIdleConnections() }

func (i instance) client(ctx context.Context, target Target) (apiClient, error) {
	admin, err := target.Admin(ctx)
	if err != nil {
		return apiClient{}, err
	}
	config := rest.CopyConfig(admin)
	config.Host = "https://" + net.JoinHostPort(i.node.Addresses()[0].String(), i.port)
	config.Timeout = probeLimit
	loopback := net.JoinHostPort("127.0.0.1", i.port)
	config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return i.node.Dial(ctx, loopback) }
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return apiClient{}, err
	}
	clientset, err := kubernetes.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return apiClient{}, err
	}
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return apiClient{}, err
	}
	return apiClient{Clientset: clientset, http: httpClient, tls: tlsConfig, dial: config.Dial}, nil
}
