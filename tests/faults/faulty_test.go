package faults

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// faulty lets nodes, the engine and other applies get in the way of an apply.
func (s *suite) faulty(t *testing.T) {
	type fault struct {
		name string
		do   func(ctx context.Context, t *testing.T)
	}
	faults := []fault{
		{"a worker is paused", s.workerPaused},
		{"two providers apply at once", s.twoApplies},
		{"the control plane's kubelet is stopped before it starts the trial", s.kubeletStopped},
		{"the connection to the engine is cut", s.engineGone},
		{"containerd is restarted in the middle of a swap", s.containerdRestarted},
		{"the disk is full from the beginning", s.diskFull},
		{"a worker's kubelet is stopped after its restart", s.workerKubeletStopped},
		{"a provider that waits for another gets its turn", s.waitsForTheOther},
		{"containerd is stopped in the middle of a swap", s.containerdStopped},
		{"the control plane is restarted in the middle of a swap", s.controlPlaneRestarted},
		{"the connection to the engine is cut and comes back", s.engineRestarted},
		{"the disk fills up", s.diskFills},
		{"the control plane is paused in the middle of a swap", s.controlPlanePaused},
		{"the disk of the certificates is full from the beginning", s.pkiDiskFull},
		{"the disk of the certificates fills up", s.pkiDiskFills},
		{"a restore is interrupted when all is nearly back", s.restoreInterrupted},
	}
	for _, picked := range pick(s.choice, faults, 1) {
		s.test(t, picked.name, picked.do)
	}
}

// begins finds the beginning of a phase, on any node.
func begins(kind apply.Kind, phase string) func(apply.Progress) bool {
	return func(p apply.Progress) bool { return p.Event == apply.Begins && p.Step.Kind == kind && p.Phase == phase }
}

// on narrows an event to a node.
func on(node string, event func(apply.Progress) bool) func(apply.Progress) bool {
	return func(p apply.Progress) bool { return p.Step.Node == node && event(p) }
}

// applyWith applies everything, and does something at the first event that is sought. It returns the step that fails.
func (s *suite) applyWith(
	ctx context.Context, t *testing.T, sought func(apply.Progress) bool, do func(),
) *apply.StepError {
	t.Helper()
	met := false
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now, Progress: func(p apply.Progress) {
		if !met && sought(p) {
			met = true
			do()
		}
	}})
	require.True(t, met, "what was sought never came")
	return stepError(t, err)
}

func stepError(t *testing.T, err error) *apply.StepError {
	t.Helper()
	t.Log(err)
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(t, ok, "%v", err)
	return failure
}

// repair is what follows each fault: an apply, as if nothing had been, and a restore.
func (s *suite) repair(ctx context.Context, t *testing.T) heard {
	t.Helper()
	told := s.converge(ctx, t, everything())
	s.restore(ctx, t)
	return told
}

// unchanged remembers the running apiserver, and gives what sees that it is still the same.
func (s *suite) unchanged(ctx context.Context, t *testing.T) func() {
	t.Helper()
	name := "kube-apiserver on " + s.controlPlane().Name()
	before := s.processes(ctx, t)[name]
	return func() {
		t.Helper()
		assert.Equal(t, before, s.processes(ctx, t)[name], "the apiserver is the old one, with its old flags")
	}
}

// restoreInterrupted sees that a cluster stays hardened, as a whole, whose restore didn't come to its end.
func (s *suite) restoreInterrupted(ctx context.Context, t *testing.T) {
	t.Helper()
	requests := s.ask(ctx, t)
	s.converge(ctx, t, everything())
	steps := apply.PlanRestore(s.observe(ctx, t))
	interrupted, interrupt := context.WithCancel(ctx)
	defer interrupt()
	err := apply.Restore(interrupted, s.target(), apply.Options{Now: time.Now, Progress: func(p apply.Progress) {
		// The worker's comes last.
		if on(s.worker().Name(), begins(apply.RestoreServing, "see what the kubelet serves"))(p) {
			interrupt()
		}
	}})
	t.Log(err)
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, failure.Err, context.Canceled)
	assert.Equal(t, apply.RestoreServing, failure.Step.Kind)
	require.NoError(t, failure.UndoErr)
	for _, step := range steps {
		if step.Kind.Undone() != "" {
			assert.Contains(t, failure.Undone, step)
		}
	}
	require.Empty(t, apply.Plan(s.observe(ctx, t), everything()))
	s.requireNothing(ctx, t, trialScript)
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}

// twoApplies lets one provider hold the lock, and others wait for it in vain, until it is killed.
func (s *suite) twoApplies(ctx context.Context, t *testing.T) {
	t.Helper()
	requests := s.ask(ctx, t)
	first := s.start(ctx, t, order{Settings: everything()})
	first.reach(ctx, t, begins(apply.ReplaceAPIServer, provingTrial))
	s.requireSwap(ctx, t, s.controlPlane())
	whose := "an apply by process " + strconv.Itoa(first.pid()) + " on "

	var told heard
	options := apply.Options{Settings: everything(), Now: time.Now, LockLimit: 2 * time.Second, Progress: told.hear}
	_, err := apply.Apply(ctx, s.target(), options)
	locked, ok := errors.AsType[*apply.LockedError](err)
	require.True(t, ok, "%v", err)
	assert.Contains(t, locked.Holder, whose)
	require.ErrorContains(t, err, "for the lock of cluster "+s.name+", which is held by "+whose)
	require.Len(t, told, 1, "it did nothing but wait")
	assert.Contains(t, told.note(apply.Waiting), whose)
	_, isLocked := errors.AsType[*apply.LockedError](apply.Restore(ctx, s.target(), options))
	assert.True(t, isLocked, "a restore waits as well")

	first.kill()
	assert.Contains(t, s.repair(ctx, t).note(apply.Resumes), whose)
	requireAllAnswered(t, requests)
}

// waitsForTheOther finds nothing left to do when its turn comes.
func (s *suite) waitsForTheOther(ctx context.Context, t *testing.T) {
	t.Helper()
	requests := s.ask(ctx, t)
	first := s.start(ctx, t, order{Settings: everything()})
	first.reach(ctx, t, begins(apply.ReplaceAPIServer, provingTrial))

	waits := make(chan apply.Progress, 1)
	ended := make(chan error, 1)
	var told heard
	go func() {
		_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now, Progress: func(p apply.Progress) {
			told.hear(p)
			if p.Event == apply.Waiting {
				waits <- p
			}
		}})
		ended <- err
	}()
	select {
	case p := <-waits:
		assert.Contains(t, p.Note, "an apply by process "+strconv.Itoa(first.pid())+" on ")
	case err := <-ended:
		require.NoError(t, err)
		t.Fatal("it did not wait")
	}
	assert.Equal(t, outcome{}, first.finish(ctx, t))
	require.NoError(t, <-ended)
	assert.Len(t, told, 1, "after the wait, nothing was left to do: %v", told)
	assert.Empty(t, apply.Plan(s.observe(ctx, t), everything()))
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}
