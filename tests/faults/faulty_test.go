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
		{"the connection to the engine is cut and comes back", s.engineRestarted},
		{"the disk fills up", s.diskFills},
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
	t.Log(err)
	require.True(t, met, "what was sought never came")
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
	before := s.processes(ctx, t)["kube-apiserver"]
	return func() {
		t.Helper()
		assert.Equal(t, before, s.processes(ctx, t)["kube-apiserver"], "the apiserver is the old one, with its old flags")
	}
}

// diskFull fills the folder that the journal is in before an apply begins.
func (s *suite) diskFull(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	s.mountSmallDisk(ctx, t)
	s.fillSmallDisk(ctx, t)
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now})
	require.EqualError(t, err, "writing the journal /etc/kubernetes/kubecomm/journal on node "+s.controlPlane().Name()+
		" failed; is its disk full?")
	requireOldServer()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	s.unmountSmallDisk(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

// diskFills fills the same folder when a swap wants to write there.
func (s *suite) diskFills(ctx context.Context, t *testing.T) {
	t.Helper()
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	s.mountSmallDisk(ctx, t)
	failure := s.applyWith(ctx, t, begins(apply.ReplaceAPIServer, staging), func() { s.fillSmallDisk(ctx, t) })
	assert.Equal(t, staging, failure.Phase)
	require.ErrorContains(t, failure.Err, "writing /etc/kubernetes/kubecomm/swap/")
	require.ErrorContains(t, failure.Err, "No space left on device")
	require.NoError(t, failure.UndoErr)
	assert.Len(t, failure.Undone, failure.Of)
	requireOldServer()
	require.Equal(t, s.stock, s.readFiles(ctx, t))
	s.unmountSmallDisk(ctx, t)
	s.repair(ctx, t)
	requireAllAnswered(t, requests)
}

const smallDisk = "/etc/kubernetes/kubecomm"

// mountSmallDisk makes a disk of 1 MiB of the folder in which kubecomm keeps what it needs to come back.
func (s *suite) mountSmallDisk(ctx context.Context, t *testing.T) {
	t.Helper()
	run(ctx, t, s.controlPlane(), `mkdir -m 700 "$1" && mount -t tmpfs -o size=1m,mode=700 tmpfs "$1"`, smallDisk)
}

func (s *suite) fillSmallDisk(ctx context.Context, t *testing.T) {
	t.Helper()
	said := run(ctx, t, s.controlPlane(), `! dd if=/dev/zero of="$1/filler" bs=4k 2>&1`, smallDisk)
	require.Contains(t, said, "No space left on device")
}

func (s *suite) unmountSmallDisk(ctx context.Context, t *testing.T) {
	t.Helper()
	run(ctx, t, s.controlPlane(), `umount "$1" && rmdir "$1"`, smallDisk)
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
		if begins(apply.RestoreServing, "see what the kubelet serves")(p) {
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
