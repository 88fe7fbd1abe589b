package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// startLimit is how long an apiserver may take from its manifest's appearance until it is ready: the kubelet looks at
// its manifests every 20 s if it missed the change, and a busy machine is slow.
const startLimit = 2 * time.Minute

// swap changes an apiserver without an outage: a trial instance with the new manifest is started beside the real one
// and proved, new connections are sent to it, the real one is replaced and proved, and connections are sent back.
type swap struct {
	target   Target
	real     instance
	trial    instance
	previous cluster.File
	next     cluster.File
}

// phase is a part of a swap after which a crash finds the cluster serving.
type phase struct {
	name string
	do   func(context.Context) error
}

func (s *swap) phases() []phase {
	return []phase{
		{"stage the manifests", s.stage},
		{"start the trial", s.startTrial},
		{"prove the trial", func(ctx context.Context) error { return s.prove(ctx, s.trial, s.next) }},
		{"send new connections to the trial", s.redirect},
		{"replace the kube-apiserver", func(ctx context.Context) error { return s.install(ctx, nextStaging) }},
		{"prove the kube-apiserver", func(ctx context.Context) error { return s.prove(ctx, s.real, s.next) }},
		{"send new connections back", func(ctx context.Context) error { return moveTrafficBack(ctx, s.real.node) }},
		{"remove the trial", s.removeTrial},
	}
}

func swapAPIServer(ctx context.Context, target Target, node Node, previous cluster.File, next []byte) error {
	s := &swap{
		target: target, real: realInstance(ctx, node), trial: trialInstance(node),
		previous: previous, next: cluster.File{Data: next, Mode: previous.Mode},
	}
	for _, phase := range s.phases() {
		if err := phase.do(ctx); err != nil {
			return s.undo(ctx, fmt.Errorf("%s: %w", phase.name, err))
		}
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
	manifest.Trial(controlplane.Trial{Name: trialName, Port: trialPort, Flags: map[string]string{
		securePortFlag: s.trial.port,
		// The trial must not write itself into the kubernetes service's endpoints.
		"endpoint-reconciler-type": "none",
	}})
	trial, err := manifest.Bytes()
	if err != nil {
		return err
	}
	node := s.real.node
	if err := node.WriteFile(ctx, trialStaging, cluster.File{Data: trial, Mode: s.next.Mode}); err != nil {
		return err
	}
	if err := node.WriteFile(ctx, nextStaging, s.next); err != nil {
		return err
	}
	return node.WriteFile(ctx, previousStaging, s.previous)
}

func (s *swap) startTrial(ctx context.Context) error {
	args := []string{"mv", "-f", "--", trialStaging, trialFile}
	_, err := s.trial.node.Run(ctx, cluster.Command{Args: args})
	return err
}

// prove waits until the instance runs with the manifest's flags, answers as ready, and reaches every kubelet.
func (s *swap) prove(ctx context.Context, server instance, file cluster.File) error {
	manifest, err := controlplane.ParseManifest(file.Data, apiserver)
	if err != nil {
		return err
	}
	want, wanted := manifest.Flags().Get(kubeletCAFlag)
	what := fmt.Sprintf("%s on node %s to be ready", server.container, server.node.Name())
	err = wait.Until(ctx, what, wait.Options{Limit: startLimit}, func(ctx context.Context) error {
		flags, err := server.flags(ctx)
		if err != nil {
			return err
		}
		if got, given := flags.Get(kubeletCAFlag); got != want || given != wanted {
			return fmt.Errorf("it runs with --%s=%q, not %q", kubeletCAFlag, got, want)
		}
		return checkReady(ctx, s.target, server)
	})
	if err != nil {
		return err
	}
	what = fmt.Sprintf("%s on node %s to reach every kubelet", server.container, server.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		err := checkReaches(ctx, s.target, server)
		if err != nil && strings.Contains(err.Error(), "tls: failed to verify certificate") {
			return wait.Final(err)
		}
		return err
	})
}

func (s *swap) redirect(ctx context.Context) error {
	endpoints, err := s.endpointsOf(ctx)
	if err != nil {
		return err
	}
	if err := moveTraffic(ctx, s.real.node, endpoints, trialPort); err != nil {
		return err
	}
	return drained(ctx, s.real)
}

// drained waits until the instance has accepted every connection that the kernel made for it, because a process that
// ends resets those that it did not.
func drained(ctx context.Context, server instance) error {
	script := `ss --no-header --tcp --listening --numeric "sport = :$1" | awk '{ waiting += $2 } END { print waiting + 0 }'`
	what := "new connections to " + server.container + " to end"
	return wait.Until(ctx, what, wait.Options{Limit: 30 * time.Second}, func(ctx context.Context) error {
		output, err := server.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", script, "sh", server.port}})
		if err == nil && string(output) != "0\n" {
			err = fmt.Errorf("%s of them are not accepted yet", output)
		}
		return err
	})
}

// installScript ends the real apiserver and puts a staged manifest in its place. It runs to its end by itself, whatever
// becomes of who started it, so that the manifest is never missing for long. The kubelet must have forgotten the old
// pod before it sees the new one: it would otherwise find it in the way and not look again for 10 to 15 s (Kubernetes
// v1.37.1, pkg/kubelet/pod_workers.go, backOffPeriod and workerBackOffPeriodJitterFactor).
const installScript = findScript + `set -e
staged=$1 manifest=$2
cp -a -- "$staged" "$staged.ready"
id=$(find_container kube-apiserver)
if [ -n "$id" ]; then
  uid=$(crictl --timeout 30s inspect --output go-template --template '{{index .status.labels "io.kubernetes.pod.uid"}}' "$id")
  rm -f -- "$manifest"
  crictl --timeout 30s stop --timeout 2 "$id" >/dev/null 2>&1 || :
  tries=150
  while [ -d "/var/lib/kubelet/pods/$uid" ] && [ $tries -gt 0 ]; do sleep 0.2; tries=$((tries - 1)); done
fi
mv -f -- "$staged.ready" "$manifest"`

func (s *swap) install(ctx context.Context, staged string) error {
	args := []string{"setsid", "--wait", "sh", "-c", installScript, "sh", staged, manifestFile}
	if _, err := s.real.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("replacing %s on node %s: %w", manifestFile, s.real.node.Name(), err)
	}
	return nil
}

// removeTrial ends the trial, and with it the swap.
func (s *swap) removeTrial(ctx context.Context) error {
	if err := drained(ctx, s.trial); err != nil {
		return err
	}
	script := findScript + `rm -f -- "$1"
id=$(find_container "$2")
[ -z "$id" ] || crictl --timeout 30s stop --timeout 2 "$id" >/dev/null 2>&1
rm -rf -- "$3"`
	args := []string{"sh", "-c", script, "sh", trialFile, trialName, stateFolder + "/swap"}
	if _, err := s.trial.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing the trial on node %s: %w", s.trial.node.Name(), err)
	}
	return nil
}

// undo goes back to the previous manifest. What it says of the failure holds the end of the log of the instance that
// failed.
func (s *swap) undo(ctx context.Context, failure error) error {
	// The way back must not be cut short by what ended the way there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*startLimit)
	defer cancel()
	current, err := s.real.node.ReadFile(ctx, manifestFile)
	if err == nil && string(current.Data) == string(s.previous.Data) {
		failure = fmt.Errorf("%w\nThe end of the trial's log:\n%s", failure, lastLog(ctx, s.trial))
	} else {
		failure = fmt.Errorf("%w\nThe end of its log:\n%s", failure, lastLog(ctx, s.real))
		err = s.goBack(ctx)
	}
	if err == nil {
		err = s.end(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w\nGoing back failed too, and the next apply will try again: %w", failure, err)
	}
	return fmt.Errorf("%w\nThe kube-apiserver runs as before", failure)
}

func (s *swap) goBack(ctx context.Context) error {
	if err := s.install(ctx, previousStaging); err != nil {
		return err
	}
	return s.prove(ctx, s.real, s.previous)
}

// settle ends a swap that a crash left half done: with the new manifest where the trial had been proved, or else with
// the previous one. It does nothing where there is none.
func settle(ctx context.Context, target Target, node Node) error {
	previous, err := node.ReadFile(ctx, previousStaging)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	next, err := node.ReadFile(ctx, nextStaging)
	if err != nil {
		return err
	}
	s := &swap{target: target, real: realInstance(ctx, node), trial: trialInstance(node), previous: previous, next: next}
	current, err := node.ReadFile(ctx, manifestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Only a proved trial makes way for the next one.
		if err := s.install(ctx, nextStaging); err != nil {
			return err
		}
		current = next
	case err != nil:
		return err
	}
	if err := s.prove(ctx, s.real, current); err != nil {
		return s.undo(ctx, fmt.Errorf("finishing an interrupted swap on node %s: %w", node.Name(), err))
	}
	return s.end(ctx)
}

// end lets the real apiserver serve again. As long as connections still go to the trial, the trial stays.
func (s *swap) end(ctx context.Context) error {
	if err := moveTrafficBack(ctx, s.real.node); err != nil {
		return err
	}
	return s.removeTrial(ctx)
}
