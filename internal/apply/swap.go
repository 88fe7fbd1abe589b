package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// startLimit is how long an apiserver may take from its manifest's appearance until it is ready: the kubelet looks at
// its manifests every 20 s if it missed the change, and a busy machine is slow.
const startLimit = 2 * time.Minute

// proofPause is between two looks at an apiserver that starts: every moment counts, and each look takes longer.
const proofPause = 100 * time.Millisecond

// swap changes an apiserver without an outage: a trial instance with the new manifest is started beside the real one
// and proved, new connections are sent to it, the real one is replaced and proved, and connections are sent back.
type swap struct {
	target   Target
	real     instance
	trial    instance
	previous cluster.File
	next     cluster.File
}

func (s *swap) phases() []phase {
	return []phase{
		{"stage the manifests", s.stage},
		{"start the trial", s.startTrial},
		{"prove the trial", s.proveTrial},
		{"send new connections to the trial", s.redirect},
		{"replace the kube-apiserver", s.installNext},
		{"prove the kube-apiserver", s.proveReal},
		{"send new connections back", s.sendBack},
		{"remove the trial", s.removeTrial},
	}
}

// between prepares a swap from the manifest that there is to another.
func (s *swap) between(j job, previous, next cluster.File) error {
	manifest, err := controlplane.ParseManifest(previous.Data, apiserver)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", manifestFile, j.node.Name(), err)
	}
	*s = swap{
		target: j.target, real: instanceOf(j.node, apiserver, manifest),
		trial: instance{node: j.node, container: TrialName}, previous: previous, next: next,
	}
	return nil
}

// listeningScript prints the ports on which anything listens.
const listeningScript = `ss --no-header --tcp --listening --numeric | awk '{ sub(".*:", "", $4); print $4 }'`

// The ports of which a trial takes the first that is free.
const (
	firstTrialPort = 7443
	lastTrialPort  = 7462
)

// choosePort also refuses a manifest whose own port is taken, because a trial, which has another, would not notice.
func (s *swap) choosePort(ctx context.Context, manifest *controlplane.Manifest) (int, error) {
	node := s.real.node
	output, err := node.Run(ctx, cluster.Command{Args: []string{"flock", installLock, "sh", "-c", listeningScript}})
	if err != nil {
		return 0, fmt.Errorf("listing the ports in use on node %s: %w", node.Name(), err)
	}
	taken := strings.Fields(string(output))
	if port, given := manifest.Flags().Get(securePortFlag); given && port != s.real.port && slices.Contains(taken, port) {
		return 0, fmt.Errorf("--%s=%s: that port is in use on node %s", securePortFlag, port, node.Name())
	}
	for port := firstTrialPort; port <= lastTrialPort; port++ {
		if !slices.Contains(taken, strconv.Itoa(port)) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("every port from %d to %d is in use on node %s, and a trial needs one",
		firstTrialPort, lastTrialPort, node.Name())
}

// checkBindAddress refuses an apiserver that doesn't listen on every address: it is proved on the loopback address,
// because connections to the node's own are sent to the trial meanwhile, which must have those.
func checkBindAddress(manifest *controlplane.Manifest) error {
	text, given := manifest.Flags().Get("bind-address")
	if !given {
		return nil
	}
	address, err := netip.ParseAddr(text)
	if err == nil && !address.IsUnspecified() {
		err = errors.New("it must listen on every address to be replaced without an outage")
	}
	if err != nil {
		return fmt.Errorf("the kube-apiserver's --bind-address=%s: %w", text, err)
	}
	return nil
}

// stage writes what the swap needs where the kubelet does not look. The previous manifest comes last: from then on a
// crash leaves something to finish.
func (s *swap) stage(ctx context.Context) error {
	manifest, err := controlplane.ParseManifest(s.next.Data, apiserver)
	if err != nil {
		return err
	}
	if err := checkBindAddress(manifest); err != nil {
		return err
	}
	// The trial of the control plane before may still end. To start another beside it makes clients wait on a small machine.
	if err := waitEnded(ctx, s.target); err != nil {
		return err
	}
	port, err := s.choosePort(ctx, manifest)
	if err != nil {
		return err
	}
	s.trial.port = strconv.Itoa(port)
	// Each trial's pod has a name of its own, lest the kubelet wait for the end of an earlier one.
	manifest.Trial(controlplane.Trial{
		Pod: TrialName + "-" + rand.String(5), Container: TrialName, Port: port, Flags: controlplane.Flags{
			securePortFlag: {s.trial.port},
			// The trial must not write itself into the kubernetes service's endpoints.
			"endpoint-reconciler-type": {"none"},
			// Told to end, it ends its watches, and with them itself, instead of waiting for their clients.
			"shutdown-watch-termination-grace-period": {"1s"},
		},
	})
	trial, err := manifest.Bytes()
	if err != nil {
		return err
	}
	node := s.real.node
	group, groupCtx := errgroup.WithContext(ctx)
	for path, file := range map[string]cluster.File{trialStaging: {Data: trial, Mode: s.next.Mode}, nextStaging: s.next} {
		group.Go(func() error { return node.WriteFile(groupCtx, path, file) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return node.WriteFile(ctx, previousStaging, s.previous)
}

func (s *swap) startTrial(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.setGuard(ctx) })
	group.Go(func() error {
		return duringSwap(ctx, s.trial.node, nil, "mv", "-f", "--", trialStaging, trialFile)
	})
	return group.Wait()
}

// duringSwap runs a command on the node unless the swap has ended. Whoever ends a swap whose provider was killed may be
// faster than a command of that provider's which goes on by itself, and what such a command did late nobody would take back.
func duringSwap(ctx context.Context, node Node, stdin io.Reader, command ...string) error {
	script := `[ -e "$1" ] || { echo "the swap on this node has ended" >&2; exit 1; }; shift; exec "$@"`
	args := append([]string{"flock", installLock, "sh", "-c", script, "sh", previousStaging}, command...)
	_, err := node.Run(ctx, cluster.Command{Args: args, Stdin: stdin})
	return err
}

// proveTrial proves a trial with a tunnel once more: what it can't do through that, nobody shall have to do without.
func (s *swap) proveTrial(ctx context.Context) error {
	if err := s.prove(ctx, s.trial, trialFile); err != nil {
		return err
	}
	return s.proveTunnel(ctx, s.trial, trialFile)
}

func (s *swap) proveReal(ctx context.Context) error {
	s.real = realInstance(ctx, s.real.node) // its port is the manifest's
	return s.prove(ctx, s.real, manifestFile)
}

// prove waits until the instance runs with the flags of its manifest, answers as ready, and reaches every kubelet. What
// it says of a failure holds the end of the instance's log.
func (s *swap) prove(ctx context.Context, server instance, file string) error {
	err := s.waitProved(ctx, server, file)
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, lastLog(ctx, server))
	}
	return err
}

func (s *swap) waitProved(ctx context.Context, server instance, file string) error {
	manifest, err := readManifest(ctx, server.node, file, server.container)
	if err != nil {
		return err
	}
	if err := waitRuns(ctx, server, file, manifest.Flags()); err != nil {
		return err
	}
	client, err := server.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	// Often it can do the latter a second before it calls itself ready.
	group, ctx := errgroup.WithContext(ctx)
	var ready atomic.Pointer[time.Time]
	group.Go(func() error {
		err := waitReady(ctx, client, server, file)
		if now := time.Now(); err == nil {
			ready.Store(&now)
		}
		return err
	})
	group.Go(func() error { return waitReaches(ctx, s.target, client, server, &ready) })
	return group.Wait()
}

// waitRuns waits until the instance listens and runs with the flags.
func waitRuns(ctx context.Context, server instance, file string, want controlplane.Flags) error {
	what := fmt.Sprintf("%s on node %s to run", server.container, server.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: startLimit}, func(ctx context.Context) error {
		if err := waitListening(ctx, server); err != nil {
			return errors.Join(checkNotEnded(ctx, server, file), err)
		}
		flags, err := server.listenerFlags(ctx)
		if err != nil {
			return err
		}
		return flags.Differ(want)
	})
}

func waitReady(ctx context.Context, client apiClient, server instance, file string) error {
	what := fmt.Sprintf("%s on node %s to be ready", server.container, server.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: startLimit, Every: proofPause}, func(ctx context.Context) error {
		err := askReady(ctx, client, server)
		if apierrors.IsUnauthorized(err) {
			return wait.Final(err) // it has another client CA than the administrator's, and keeps it
		}
		if _, answered := errors.AsType[*apierrors.StatusError](err); err != nil && !answered {
			err = errors.Join(checkNotEnded(ctx, server, file), err)
		}
		return err
	})
}

// reachLimit is how long an apiserver that is ready may fail to reach a kubelet.
const reachLimit = time.Minute

// waitReaches waits until the instance reaches every kubelet, up to reachLimit from when it was ready.
func waitReaches(
	ctx context.Context, target Target, client apiClient, server instance, ready *atomic.Pointer[time.Time],
) error {
	// All nodes together are looked at as often as one would be: each look takes from clients what an apiserver needs to start.
	r := reach{client: client, server: server, ready: ready, every: proofPause * time.Duration(len(target.Nodes))}
	var group errgroup.Group // without a context of its own: each node may say what is wrong with it
	for _, peer := range target.Nodes {
		group.Go(func() error { return r.wait(ctx, peer) })
	}
	return group.Wait()
}

// reach is how an instance's way to kubelets is looked at.
type reach struct {
	client apiClient
	server instance
	ready  *atomic.Pointer[time.Time] // when it was, once it is
	every  time.Duration
}

func (r reach) wait(ctx context.Context, peer Node) error {
	what := fmt.Sprintf("%s on node %s to reach the kubelet of node %s", r.server.container, r.server.node.Name(), peer.Name())
	reached := false // what is known isn't looked at again
	return wait.Until(ctx, what, wait.Options{Limit: startLimit + reachLimit, Every: r.every}, func(ctx context.Context) error {
		var err error
		if !reached {
			err = checkProxy(ctx, r.client, r.server, peer)
			reached = err == nil
		}
		if err == nil {
			err = checkStreams(ctx, r.client, r.server, peer)
		}
		since := r.ready.Load()
		late := since != nil && time.Since(*since) > reachLimit
		if err != nil && (late || strings.Contains(err.Error(), "tls: failed to verify certificate")) {
			return wait.Final(err)
		}
		return err
	})
}

// listenScript waits for up to three seconds until something accepts connections on a port. To wait in the node leaves a
// small machine more of its time for what it waits for.
const listenScript = `for try in $(seq 30); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then exit 0; fi
  sleep 0.1
done
exit 44`

func waitListening(ctx context.Context, server instance) error {
	args := []string{"bash", "-c", listenScript, "bash", server.port}
	_, err := server.node.Run(ctx, cluster.Command{Args: args})
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && failure.Code == notRunningStatus {
		return fmt.Errorf("nothing listens on port %s of node %s yet", server.port, server.node.Name())
	}
	return err
}

func (s *swap) redirect(ctx context.Context) error {
	if err := s.waitGuarded(ctx); err != nil {
		return err
	}
	endpoints, err := s.endpointsOf(ctx)
	if err != nil {
		return err
	}
	return moveTraffic(ctx, s.real.node, endpoints, s.trial.port)
}

// installLock is held by a script that changes what runs, whose caller may be gone.
const installLock = "/run/kubecomm-install.lock"

// installScript ends a component and puts a staged manifest in place of its own. Where a port is named, it waits for the
// component's connections to drain. It runs to its end by itself, whatever becomes of who started it, so that the manifest
// is never missing for long. The kubelet must have done with the old pod before it sees the new one: it would otherwise
// find it in the way and not look again for 10 to 15 s (Kubernetes v1.37.1, pkg/kubelet/pod_workers.go, allowPodStart,
// backOffPeriod and workerBackOffPeriodJitterFactor). The last that can be seen of an old pod from outside is that its dead
// container is removed; the pod's cgroup goes before. Where something is to listen in the end, the node's own processes are
// refused by the apiserver until it does: see refuseScript.
const installScript = findScript + drainScript + refuseScript + `set -e
staged=$1 manifest=$2 component=$3 port=$4 listens=$5
cp --preserve=mode,ownership -- "$staged" "$staged.ready"
sync -- "$staged.ready"
id=$(find_container "$component")
if [ -n "$id" ]; then
  uid=$(crictl --timeout 30s inspect --output go-template --template '{{index .status.labels "io.kubernetes.pod.uid"}}' "$id")
  [ -z "$port" ] || drain "$port" || :
  [ -z "$listens" ] || refuse
  rm -f -- "$manifest"
  crictl --timeout 30s stop --timeout 1 "$id" >/dev/null 2>&1 || :
  tries=600
  while [ $tries -gt 0 ] && find /sys/fs/cgroup -maxdepth 6 -type d -name "*pod$uid*" -print -quit | grep -q .; do
    sleep 0.05
    tries=$((tries - 1))
  done
  tries=40
  while [ $tries -gt 0 ] && crictl --timeout 30s inspect --output go-template --template ok "$id" >/dev/null 2>&1; do
    sleep 0.05
    tries=$((tries - 1))
  done
fi
touch -- "$staged.ready"
mv -f -- "$staged.ready" "$manifest"
[ -z "$listens" ] || serve_again "$listens"`

func (s *swap) installNext(ctx context.Context) error { return s.install(ctx, nextStaging) }

func (s *swap) install(ctx context.Context, staged string) error {
	return install(ctx, s.real.node, settings.APIServer, staged, s.real.port)
}

func install(ctx context.Context, node Node, component settings.Component, staged, port string) error {
	manifest, listens := manifestOf(component), ""
	if component == settings.Etcd {
		listens = health[component].port
	}
	args := []string{
		// Commands give way to pods. Who waits for a component that is away would wait for longer.
		"nice", "-n", "-5", "setsid", "--wait", "flock", installLock, "sh", "-c", installScript, "sh",
		staged, manifest, string(component), port, listens,
	}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("replacing %s on node %s: %w", manifest, node.Name(), err)
	}
	return nil
}

func (s *swap) sendBack(ctx context.Context) error {
	return moveTrafficBack(ctx, s.real.node)
}

// endTrialScript ends the trial, and with it the swap. It runs to its end by itself.
const endTrialScript = findScript + drainScript + `manifest=$1 container=$2 port=$3 folder=$4 table=$5
id=$(find_container "$container")
drain "$port"
rm -f -- "$manifest"
[ -z "$id" ] || crictl --timeout 30s stop --timeout 1 "$id"
nft delete table inet "$table"
rm -rf -- "$folder"`

// removeTrial has the trial removed. What follows need not wait until it has ended, but for the next swap: see waitEnded.
func (s *swap) removeTrial(ctx context.Context) error {
	if err := s.removeGuard(ctx); err != nil {
		return err
	}
	script := `setsid flock "$1" sh -c "$2" sh "$3" "$4" "$5" "$6" "$7" >/dev/null 2>&1 </dev/null &`
	args := []string{
		"sh", "-c", script, "sh", installLock, endTrialScript,
		trialFile, TrialName, s.trial.port, swapFolder, trafficTable,
	}
	if _, err := s.trial.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing the trial on node %s: %w", s.trial.node.Name(), err)
	}
	return nil
}

const underWayStatus = 46

// idle waits until no script of a swap runs on the node any more, whoever started it, and reports whether
// every swap was ended.
func idle(ctx context.Context, node Node) (ended bool, err error) {
	// Where nothing is left to do, nobody else waits for this lock, because applies have another.
	script := `[ ! -e "$1" ] || exit 46; rm -f -- "$2"`
	args := []string{"flock", installLock, "sh", "-c", script, "sh", previousStaging, installLock}
	_, err = node.Run(ctx, cluster.Command{Args: args})
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && failure.Code == underWayStatus {
		return false, nil
	}
	return err == nil, err
}

// waitEnded waits until no script of a swap runs on any control plane any more. Its error is one of a swap that wasn't ended.
func waitEnded(ctx context.Context, target Target) error {
	for _, node := range target.controlPlanes() {
		ended, err := idle(ctx, node)
		if err == nil && !ended {
			err = errors.New("the trial could not be removed")
		}
		if err != nil {
			return fmt.Errorf("ending the swap on node %s: %w", node.Name(), err)
		}
	}
	return nil
}

// underWay returns the swap that is under way on a node, or nil.
func underWay(ctx context.Context, target Target, node Node) (*swap, error) {
	if ended, err := idle(ctx, node); ended || err != nil {
		return nil, err
	}
	files, err := node.ReadFiles(ctx, previousStaging, nextStaging)
	if err != nil {
		return nil, err
	}
	return &swap{
		target: target, real: findInstance(ctx, node, apiserver, manifestFile),
		trial: findInstance(ctx, node, TrialName, trialFile), previous: files[previousStaging], next: files[nextStaging],
	}, nil
}

// settle ends a swap that a crash left half done: with the new manifest where the trial had been proved, or else with
// the previous one. It does nothing where there is none.
func settle(ctx context.Context, target Target, node Node) error {
	s, err := underWay(ctx, target, node)
	if s == nil || err != nil {
		return err
	}
	_, err = node.ReadFile(ctx, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		// Only a proved trial makes way for the next one.
		err = s.installNext(ctx)
	}
	if err == nil {
		err = s.proveReal(ctx)
	}
	if err == nil {
		return s.end(ctx)
	}
	err = fmt.Errorf("finishing an interrupted swap on node %s: %w", node.Name(), err)
	if back := abandon(ctx, target, node); back != nil {
		return fmt.Errorf("%w\nGoing back failed too, and the next apply will try again: %w", err, back)
	}
	return fmt.Errorf("%w\nThe kube-apiserver runs as before", err)
}

// abandon ends a swap that is under way with the previous manifest. It does nothing where there is none.
func abandon(ctx context.Context, target Target, node Node) error {
	s, err := underWay(ctx, target, node)
	if s == nil || err != nil {
		return err
	}
	current, err := node.ReadFile(ctx, manifestFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(current.Data) != string(s.previous.Data) {
		if err := s.install(ctx, previousStaging); err != nil {
			return err
		}
		if err := s.proveReal(ctx); err != nil {
			return err
		}
	}
	return s.end(ctx)
}

// end lets the real apiserver serve again. As long as connections still go to the trial, the trial stays.
func (s *swap) end(ctx context.Context) error {
	if err := s.sendBack(ctx); err != nil {
		return err
	}
	return s.removeTrial(ctx)
}
