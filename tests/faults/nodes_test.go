package faults

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// engine runs the container engine's client.
func engine(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	client := os.Getenv("KIND_EXPERIMENTAL_PROVIDER")
	if client == "" {
		client = "docker"
	}
	said, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// pause stops every process of a node until it is undone, at the latest when the test ends.
func pause(ctx context.Context, t *testing.T, node string) (unpause func()) {
	t.Helper()
	engine(ctx, t, "pause", node)
	unpause = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		engine(ctx, t, "unpause", node)
	})
	t.Cleanup(unpause)
	return unpause
}

func (s *suite) workerPaused(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	worker := s.worker().Name()
	var unpause func()
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, provingTrial), func() { unpause = pause(ctx, t, worker) })
	unpause()

	assert.Equal(t, provingTrial, failure.Phase)
	require.ErrorContains(t, failure.Err, "kube-apiserver-next on node "+s.controlPlane().Name())
	require.ErrorContains(t, failure.Err, "node "+worker)
	require.Error(t, failure.UndoErr, "what was done to the worker could not be undone")
	for _, kind := range []apply.Kind{apply.IssueServing, apply.ConfigureKubelet} {
		require.ErrorContains(t, failure.UndoErr, "node "+worker+": "+string(kind))
	}
	require.ErrorContains(t, failure.UndoErr, "is paused")
	requireOldServer()
	assert.NotEmpty(t, s.repair(ctx, t).note(apply.Resumes))
	requireAllAnswered(t, requests)
}

// controlPlanePaused stops the only control plane until the step that is under way has failed: there is no API meanwhile. What
// the apply had asked the node for last may be done when the node goes on, and must not be left standing beside the undo.
func (s *suite) controlPlanePaused(ctx context.Context, t *testing.T) {
	t.Helper()
	node := s.controlPlane()
	a := s.start(ctx, t, order{Settings: everything()})
	a.reach(ctx, t, begins(apply.ReplaceAPIServer, replacing))
	s.requireSwap(ctx, t, node)
	unpause := pause(ctx, t, node.Name())
	a.reach(ctx, t, func(p apply.Progress) bool { return p.Event == apply.Failed })
	unpause()
	ended := a.finish(ctx, t)

	t.Log(ended.Error)
	require.NotNil(t, ended.Step)
	assert.Equal(t, apply.ReplaceAPIServer, ended.Step.Kind)
	assert.Equal(t, replacing, ended.Phase)
	assert.Contains(t, ended.Error, "the node didn't end a command after")
	assert.Empty(t, ended.UndoErr)
	s.requireStock(ctx, t)
	s.repair(ctx, t)
}

// controlPlaneRestarted ends everything on the only control plane at once while the trial serves, as a crash of its machine
// does. What sent connections to the trial ends with it, and the kubelet starts both apiservers again.
//
// A node that was restarted gets the first address that is free. Where that is another than before, because some other node has
// gone meanwhile, its files, which name it, can't be as they were: the case is then done again on a new cluster.
func (s *suite) controlPlaneRestarted(ctx context.Context, t *testing.T) {
	t.Helper()
	for attempts := 3; !s.restartControlPlane(ctx, t); attempts-- {
		require.Greater(t, attempts, 1, "the engine gave the node another address each time")
		t.Log("the engine gave the node another address; once more, on a new cluster")
		s.delete(t)
		s.create(t)
	}
}

// restartControlPlane returns false if the node has another address after it.
func (s *suite) restartControlPlane(ctx context.Context, t *testing.T) bool {
	t.Helper()
	node := s.controlPlane()
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, replacing), func() {
		s.requireSwap(ctx, t, node)
		engine(ctx, t, "restart", "--time", "0", node.Name())
	})
	if !s.reopen(ctx, t) {
		return false
	}
	assert.Equal(t, replacing, failure.Phase)
	require.ErrorContains(t, failure.Err, "on node "+node.Name())
	require.ErrorContains(t, failure.Err, "containerd.sock", "it is the last to be there again")
	if failure.UndoErr == nil {
		s.requireStock(ctx, t)
		s.repair(ctx, t)
		return true
	}
	// The API may not be back in time for all of the undo.
	require.ErrorContains(t, failure.UndoErr, "node "+node.Name()+": "+string(apply.ReplaceAPIServer))
	assert.NotEmpty(t, s.repair(ctx, t).note(apply.Resumes))
	return true
}

// reopen looks again at what the engine has, as the next provider does, and reports whether the control plane's addresses are
// as before.
func (s *suite) reopen(ctx context.Context, t *testing.T) bool {
	t.Helper()
	before := s.controlPlane().Addresses()
	opened, err := s.engine.Open(ctx, s.name)
	require.NoError(t, err)
	s.cluster = opened
	return slices.Equal(before, s.controlPlane().Addresses())
}

func (s *suite) kubeletStopped(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, "start the trial"), func() {
		run(ctx, t, s.controlPlane(), `systemctl stop kubelet`)
	})
	assert.Equal(t, provingTrial, failure.Phase)
	require.ErrorContains(t, failure.Err, "the kubelet doesn't run on node "+s.controlPlane().Name())
	// To undo what was done to the kubelet's configuration started it again.
	require.NoError(t, failure.UndoErr)
	requireOldServer()
	s.requireStock(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

func (s *suite) workerKubeletStopped(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	worker := s.worker()
	failure := s.applyWith(ctx, t, on(worker.Name(), begins(apply.ConfigureKubelet, seeing)), func() {
		run(ctx, t, worker, `systemctl stop kubelet`)
	})
	assert.Equal(t, seeing, failure.Phase)
	assert.Equal(t, worker.Name(), failure.Step.Node)
	require.ErrorContains(t, failure.Err, "the kubelet doesn't run on node "+worker.Name())
	require.NoError(t, failure.UndoErr)
	requireOldServer()
	s.requireStock(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// containerdRestarted needs no error: containers go on without containerd, and the apply after a moment without it.
func (s *suite) containerdRestarted(ctx context.Context, t *testing.T) {
	t.Helper()
	requests := s.ask(ctx, t)
	restarted := 0
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now, Progress: func(p apply.Progress) {
		if p.Event == apply.Begins && p.Step.Kind == apply.ReplaceAPIServer {
			switch p.Phase {
			case provingTrial, replacing:
				run(ctx, t, s.controlPlane(), `systemctl restart containerd`)
				restarted++
			}
		}
	}})
	require.NoError(t, err)
	assert.Equal(t, 2, restarted)
	assert.Empty(t, apply.Plan(s.observe(ctx, t), everything()))
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}

func (s *suite) containerdStopped(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, replacing), func() {
		run(ctx, t, s.controlPlane(), `systemctl stop containerd`)
	})
	run(ctx, t, s.controlPlane(), `systemctl start containerd`)
	assert.Equal(t, replacing, failure.Phase)
	require.ErrorContains(t, failure.Err, "containerd.sock")
	require.Error(t, failure.UndoErr, "no kubelet starts without containerd")
	require.ErrorContains(t, failure.UndoErr, "node "+s.controlPlane().Name()+": "+string(apply.ConfigureKubelet))
	requireOldServer()
	assert.NotEmpty(t, s.repair(ctx, t).note(apply.Resumes))
	requireAllAnswered(t, requests)
}
