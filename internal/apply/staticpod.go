package apply

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// staticPodWork gives a component that may be away for a moment the declared flags.
type staticPodWork struct {
	job
	component settings.Component
	next      cluster.File
}

func (w *staticPodWork) phases() []phase {
	return []phase{
		{"keep the manifest", w.prepare},
		{"replace it", func(ctx context.Context) error { return w.install(ctx, w.next) }},
		{"see that it works", w.verify},
	}
}

func (w *staticPodWork) prepare(ctx context.Context) (err error) {
	var declared controlplane.Flags
	if !w.restore {
		declared = declaredFlags(w.options.Settings, w.component, nil)
	}
	_, w.next, err = rebaseManifest(ctx, w.job, w.component, declared)
	return err
}

func stagedOf(component settings.Component) string {
	return stateFolder + "/" + string(component) + ".yaml"
}

// install stages a manifest where the kubelet doesn't look, and puts it in place.
func (w *staticPodWork) install(ctx context.Context, manifest cluster.File) error {
	staged := stagedOf(w.component)
	if err := w.node.WriteFile(ctx, staged, manifest); err != nil {
		return err
	}
	if err := install(ctx, w.node, w.component, staged, ""); err != nil {
		return err
	}
	return w.node.Remove(ctx, staged)
}

func (w *staticPodWork) verify(ctx context.Context) error {
	running := instance{node: w.node, container: string(w.component)}
	err := w.waitHealthy(ctx, running)
	if err == nil && w.component == settings.Etcd {
		return w.waitAPI(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, lastLog(ctx, running))
	}
	return err
}

// waitAPI waits until the apiserver is ready again: it isn't without etcd.
func (w *staticPodWork) waitAPI(ctx context.Context) error {
	server := realInstance(ctx, w.node)
	client, err := server.client(ctx, w.target)
	if err != nil {
		return err
	}
	defer client.close()
	return waitReady(ctx, client, server, manifestFile)
}

func (w *staticPodWork) waitHealthy(ctx context.Context, running instance) error {
	path := manifestOf(w.component)
	manifest, err := readManifest(ctx, w.node, path, string(w.component))
	if err != nil {
		return err
	}
	want := manifest.Flags()
	what := fmt.Sprintf("%s on node %s to be healthy", w.component, w.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: startLimit}, func(ctx context.Context) error {
		err := w.checkRuns(ctx, want)
		if err == nil {
			err = w.checkHealth(ctx, want)
		}
		if err != nil {
			err = errors.Join(checkNotEnded(ctx, running, path), err)
		}
		return err
	})
}

func (w *staticPodWork) checkRuns(ctx context.Context, want controlplane.Flags) error {
	running, err := runningComponents(ctx, w.node, w.component)
	if err != nil {
		return err
	}
	flags, runs := running[w.component]
	if !runs {
		return errors.New("it doesn't run yet")
	}
	return flags.Differ(want)
}

// health is where kubeadm's probes ask how a component is, on the loopback address (Kubernetes v1.37.1,
// cmd/kubeadm/app/phases/controlplane/manifests.go and cmd/kubeadm/app/phases/etcd/local.go).
var health = map[settings.Component]struct{ scheme, portFlag, port, path string }{
	settings.ControllerManager: {"https", securePortFlag, "10257", "/healthz"},
	settings.Scheduler:         {"https", securePortFlag, "10259", "/healthz"},
	settings.Etcd:              {"http", "", "2381", "/health"},
}

// etcdHealthAddress is where etcd says how it is: at the first of its addresses for that, which is ::1 on an IPv6 cluster.
func etcdHealthAddress(flags controlplane.Flags) string {
	first, _, _ := strings.Cut(strings.Join(flags["listen-metrics-urls"], ","), ",")
	if at, err := url.Parse(first); err == nil && at.Host != "" {
		return at.Host
	}
	return net.JoinHostPort("127.0.0.1", health[settings.Etcd].port)
}

// checkHealth asks as the kubelet's probes do, whose certificate it is that answers included: that is not the question.
func (w *staticPodWork) checkHealth(ctx context.Context, flags controlplane.Flags) error {
	at := health[w.component]
	port := at.port
	if given, isGiven := flags.Get(at.portFlag); isGiven {
		port = given
	}
	address := net.JoinHostPort("127.0.0.1", port)
	if w.component == settings.Etcd {
		address = etcdHealthAddress(flags)
	}
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return w.node.Dial(ctx, address) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.scheme+"://"+address+at.path, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		const enough = 2048
		body, _ := io.ReadAll(io.LimitReader(response.Body, enough))
		return fmt.Errorf("GET %s: %s: %s", request.URL, response.Status, body)
	}
	return nil
}

// finishInstallScript puts in place what a script was about to when its node went down.
const finishInstallScript = `nft delete table inet ` + refuseTable + ` 2>/dev/null
while [ $# -gt 0 ]; do
  [ -e "$1" ] || [ ! -e "$2" ] || { touch -- "$2" && mv -f -- "$2" "$1"; } || exit
  rm -f -- "$2" "$3" || exit
  shift 3
done`

// settleStaticPods gives components whose replacement was cut short a manifest again.
func settleStaticPods(ctx context.Context, node Node) error {
	args := []string{"flock", installLock, "sh", "-c", finishInstallScript, "sh"}
	for _, component := range settings.Components() {
		if component != settings.APIServer { // see settle
			args = append(args, manifestOf(component), stagedOf(component)+".ready", stagedOf(component))
		}
	}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("finishing an interrupted replacement on node %s: %w", node.Name(), err)
	}
	return nil
}

// undo replaces it only where its manifest was changed, or is missing because a replacement was cut short.
func (w *staticPodWork) undo(ctx context.Context) error {
	path := manifestOf(w.component)
	previous, err := checkpoint.read(ctx, w.node, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// Whoever is still at it comes to an end first.
	if _, err := idle(ctx, w.node); err != nil {
		return err
	}
	current, err := w.node.ReadFile(ctx, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(current.Data) != string(previous.Data) {
		if err := w.install(ctx, previous); err != nil {
			return err
		}
		if err := w.verify(ctx); err != nil {
			return err
		}
	}
	return takeBack(ctx, w.node, path)
}
