package faults

import (
	"context"
	"os"
	"os/exec"
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

func (s *suite) workerPaused(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	worker := s.worker().Name()
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, provingTrial), func() {
		engine(ctx, t, "pause", worker)
	})
	engine(ctx, t, "unpause", worker)

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
