package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// KonnectivityObservation is what the API has of a tunnel.
type KonnectivityObservation struct {
	Known bool                 // whether the API could be asked
	Found konnectivity.Cluster // what of it is there; nil where nothing is
	// Connected are the nodes whose agents say that they are connected to a server, by the name of the container that is for it.
	Connected map[string][]string
}

// Present reports whether there is anything of kubecomm's.
func (t KonnectivityObservation) Present() bool {
	return slices.ContainsFunc(t.objects(), oursByLabel)
}

// foreign names something that has the name of a part of the tunnel, and isn't kubecomm's; empty if nothing has.
func (t KonnectivityObservation) foreign() string {
	for _, object := range t.objects() {
		if !oursByLabel(object) {
			return fmt.Sprintf("%T %s", object, object.GetName())[len("*v1."):]
		}
	}
	return ""
}

func (t KonnectivityObservation) objects() []metav1.Object {
	var found []metav1.Object
	if t.Found.Account != nil {
		found = append(found, t.Found.Account)
	}
	if t.Found.Binding != nil {
		found = append(found, t.Found.Binding)
	}
	if t.Found.CAs != nil {
		found = append(found, t.Found.CAs)
	}
	if t.Found.Service != nil {
		found = append(found, t.Found.Service)
	}
	found = appendFound(found, t.Found.DaemonSets)
	found = appendFound(found, t.Found.Roles)
	return appendFound(found, t.Found.RoleBindings)
}

func appendFound[T any, P interface {
	*T
	metav1.Object
}](found []metav1.Object, more []P) []metav1.Object {
	for _, object := range more {
		if object != nil {
			found = append(found, object)
		}
	}
	return found
}

// observeKonnectivity leaves it open if the API doesn't tell, which is no reason not to look at the rest.
func observeKonnectivity(ctx context.Context, client apiClient, target Target) KonnectivityObservation {
	var found KonnectivityObservation
	var err error
	if found.Found, err = findKonnectivity(ctx, client); err != nil {
		return KonnectivityObservation{}
	}
	if found.Connected, err = connectedAgents(ctx, client, target); err != nil {
		return KonnectivityObservation{}
	}
	found.Known = true
	return found
}

// readMinor asks an apiserver for its minor version of Kubernetes 1.
func readMinor(client apiClient) (uint, error) {
	information, err := client.Discovery().ServerVersion()
	if err != nil {
		return 0, err
	}
	minor, err := strconv.ParseUint(strings.TrimSuffix(information.Minor, "+"), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("the version %s: %w", information, err)
	}
	return uint(minor), nil
}

// findKonnectivity reads what there is under the names of a tunnel's objects.
func findKonnectivity(ctx context.Context, client apiClient) (konnectivity.Cluster, error) {
	names := allKonnectivityObjects()
	var found konnectivity.Cluster
	core, as := client.CoreV1(), metav1.GetOptions{}
	var problems [7]error
	found.Account, problems[0] = orNone(core.ServiceAccounts(konnectivity.Namespace).Get(ctx, names.Account.Name, as))
	found.Binding, problems[1] = orNone(client.RbacV1().ClusterRoleBindings().Get(ctx, names.Binding.Name, as))
	found.CAs, problems[2] = orNone(core.ConfigMaps(konnectivity.Namespace).Get(ctx, names.CAs.Name, as))
	found.Service, problems[3] = orNone(core.Services(konnectivity.Namespace).Get(ctx, names.Service.Name, as))
	found.DaemonSets, problems[4] = findNamed(ctx, client.AppsV1().DaemonSets(konnectivity.Namespace), names.DaemonSets)
	found.Roles, problems[5] = findNamed(ctx, client.RbacV1().Roles(konnectivity.Namespace), names.Roles)
	found.RoleBindings, problems[6] = findNamed(ctx, client.RbacV1().RoleBindings(konnectivity.Namespace), names.RoleBindings)
	return found, errors.Join(problems[:]...)
}

// findNamed reads those of several objects that there are.
func findNamed[T any, P interface {
	*T
	metav1.Object
}](ctx context.Context, client objectClient[T], named []P) ([]P, error) {
	var found []P
	for _, object := range named {
		is, err := orNone(client.Get(ctx, object.GetName(), metav1.GetOptions{}))
		if err != nil {
			return nil, err
		}
		if is != nil {
			found = append(found, is)
		}
	}
	return found, nil
}

// orNone returns nil for what isn't there.
func orNone[T any](object *T, err error) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // that is what it is for
	}
	if err != nil {
		return nil, err
	}
	return object, nil
}

// connectedAgents reads what agents say of their connections: a container for one server is ready while it is connected to
// it, and one for all is connected to all if it has as many connections as there are servers.
func connectedAgents(ctx context.Context, client apiClient, target Target) (map[string][]string, error) {
	pods, err := agentPods(ctx, client)
	if err != nil {
		return nil, err
	}
	connected := map[string][]string{}
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			if !container.Ready || pod.DeletionTimestamp != nil {
				continue
			}
			names := []string{container.Name}
			if container.Name == konnectivity.EveryServer {
				names = serversOf(ctx, target, pod.Spec.NodeName)
			}
			for _, name := range names {
				connected[name] = append(connected[name], pod.Spec.NodeName)
			}
		}
	}
	return connected, nil
}

// serversOf are those that the agent of a node is connected to if it has met every one: it says how many it is connected to,
// and not to which.
func serversOf(ctx context.Context, target Target, name string) []string {
	i := slices.IndexFunc(target.Nodes, func(node Node) bool { return node.Name() == name })
	if i < 0 {
		return nil
	}
	servers := target.controlPlanes()
	data, err := askLoopback(ctx, target.Nodes[i], konnectivity.AgentHealthPort, "/metrics")
	if err != nil {
		return nil
	}
	connections, err := metrics.Sum(data, konnectivity.AgentConnectionsMetric, nil)
	if err != nil || connections < len(servers) {
		return nil
	}
	var names []string
	for _, node := range servers {
		names = append(names, konnectivity.Server{Node: node.Name()}.ContainerName())
	}
	return names
}

func agentPods(ctx context.Context, client apiClient) ([]corev1.Pod, error) {
	pods, err := client.CoreV1().Pods(konnectivity.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=" + konnectivity.AgentAccount,
	})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", konnectivity.AgentAccount, err)
	}
	return pods.Items, nil
}

// KonnectivityServerObservation is how a control plane's server was found.
type KonnectivityServerObservation struct {
	Present bool
	Files   map[string]cluster.File // those that hold no key
	Keys    map[string]string       // the permissions of those that do
	CA      *x509.Certificate
	Serving *x509.Certificate
	Client  *x509.Certificate
	Problem error // why it doesn't work; nil if it says that it is healthy
}

func konnectivityKeys() []string {
	return []string{konnectivity.CAKey, konnectivity.ServingKey, konnectivity.ClientKey}
}

func konnectivityPublic() []string {
	return []string{
		konnectivity.CACert, konnectivity.ServingCert, konnectivity.ClientCert, konnectivity.ClusterCA, konnectivity.Kubeconfig,
		konnectivity.Manifest,
	}
}

// permissionsScript prints the permissions of those of the files that there are and aren't empty. Keys stay on the node.
const permissionsScript = `for file; do [ ! -s "$file" ] || stat -L -c '%a %n' -- "$file"; done`

func observeKonnectivityServer(ctx context.Context, node Node) (KonnectivityServerObservation, error) {
	files, err := node.ReadFiles(ctx, konnectivityPublic()...)
	if err != nil || len(files) == 0 {
		return KonnectivityServerObservation{}, err
	}
	found := KonnectivityServerObservation{Present: true, Files: files, Keys: map[string]string{}}
	output, err := node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", permissionsScript, "sh"}, konnectivityKeys()...)})
	if err != nil {
		return found, fmt.Errorf("looking at the keys of %s on node %s: %w", konnectivity.ServerName, node.Name(), err)
	}
	for line := range strings.Lines(string(output)) {
		permissions, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		found.Keys[path] = permissions
	}
	found.CA = certificateIn(files[konnectivity.CACert])
	found.Serving = certificateIn(files[konnectivity.ServingCert])
	found.Client = certificateIn(files[konnectivity.ClientCert])
	if _, there := files[konnectivity.Manifest]; !there {
		found.Problem = fs.ErrNotExist
		return found, nil
	}
	found.Problem = askKonnectivityServer(ctx, node)
	return found, nil
}

// certificateIn returns nil for a file that has none.
func certificateIn(file cluster.File) *x509.Certificate {
	certificates, err := pki.ParseBundle(file.Data)
	if err != nil {
		return nil
	}
	return certificates[0]
}

// askKonnectivityServer asks a server how it is.
func askKonnectivityServer(ctx context.Context, node Node) error {
	if _, err := askLoopback(ctx, node, konnectivity.HealthPort, "/healthz"); err != nil {
		return fmt.Errorf("%s on node %s: %w", konnectivity.ServerName, node.Name(), err)
	}
	return nil
}

// loopbackAnswer is more than any metrics of a tunnel take, in bytes.
const loopbackAnswer = 4 << 20

// loopbackError is an answer other than 200.
type loopbackError struct {
	url, status string
	body        []byte
}

func (e *loopbackError) Error() string { return fmt.Sprintf("GET %s: %s", e.url, e.status) }

// askLoopback asks what answers HTTP at a node's loopback address. Its errors may be a *loopbackError.
func askLoopback(ctx context.Context, node Node, port int, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return node.Dial(ctx, address) },
	}
	defer transport.CloseIdleConnections()
	url := "http://" + address + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, loopbackAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = &loopbackError{url, response.Status, body}
	}
	return body, err
}
