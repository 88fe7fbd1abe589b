package apply

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// instance is an apiserver on a control plane: the real one, or the trial beside it.
type instance struct {
	node      Node
	container string
	port      string
}

// TrialName is the name of a trial's container, and the beginning of its pod's. The API may show the pod for some seconds
// after the trial was removed.
const TrialName = "kube-apiserver-next"

const (
	apiserver      = string(settings.APIServer)
	securePortFlag = "secure-port"
	defaultPort    = "6443"
)

// serverName is in every certificate of an apiserver's, unlike one or the other of a node's addresses.
const serverName = "kubernetes.default.svc"

// realInstance finds the port in the manifest, because it must be known before the process runs.
func realInstance(ctx context.Context, node Node) instance {
	return findInstance(ctx, node, apiserver, manifestFile)
}

// findInstance takes the port from the manifest that the instance was, or will be, started from.
func findInstance(ctx context.Context, node Node, container, file string) instance {
	manifest, err := readManifest(ctx, node, file, container)
	if err != nil {
		return instance{node: node, container: container, port: defaultPort}
	}
	return instanceOf(node, container, manifest)
}

func instanceOf(node Node, container string, manifest *controlplane.Manifest) instance {
	server := instance{node: node, container: container, port: defaultPort}
	if port, given := manifest.Flags().Get(securePortFlag); given {
		server.port = port
	}
	return server
}

// listenerScript prints the command line of the process that listens on a port.
const listenerScript = `pid=$(ss --no-header --tcp --listening --numeric --processes "sport = :$1" |
  sed -n 's/.*"kube-apiserver",pid=\([0-9]*\),.*/\1/p' | head -n 1) || exit
[ -n "$pid" ] || exit 44
exec cat "/proc/$pid/cmdline"`

// listenerFlags are those that the process was started with which listens on the instance's port.
func (i instance) listenerFlags(ctx context.Context) (controlplane.Flags, error) {
	cmdline, err := runUnlessAbsent(ctx, i.node, listenerScript, i.port)
	if errors.Is(err, errNotRunning) {
		return nil, fmt.Errorf("no kube-apiserver listens on port %s of node %s: %w", i.port, i.node.Name(), ErrAPIUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the flags of the %s on node %s: %w", i.container, i.node.Name(), err)
	}
	return controlplane.ParseCommandLine(cmdline), nil
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
	return i.clientAs(ctx, target, rest.ImpersonationConfig{})
}

// clientAs talks as somebody else, if one is named, whom the administrator stands in for.
func (i instance) clientAs(ctx context.Context, target Target, other rest.ImpersonationConfig) (apiClient, error) {
	admin, err := target.Admin(ctx)
	if err != nil {
		return apiClient{}, err
	}
	config := rest.CopyConfig(admin)
	config.Impersonate = other
	config.Host = "https://" + net.JoinHostPort(serverName, i.port)
	config.Timeout = probeLimit
	config.QPS = -1 // at the end of a wait, the client's own limit would be the last error in place of the reason
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

// withAPI asks the real apiserver of a node by a connection of its own.
func withAPI(ctx context.Context, target Target, node Node, ask func(apiClient) error) error {
	client, err := realInstance(ctx, node).client(ctx, target)
	if err != nil {
		return err
	}
	defer client.close()
	return ask(client)
}
