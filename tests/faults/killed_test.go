package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// leastPoints is what a full plan gives at least. With fewer, a shrunken plan would prove little.
const leastPoints = 20

// killed kills appliers at points that the plan tells.
func (s *suite) killed(t *testing.T) {
	var points []point
	s.test(t, "left to itself, the provider applies and restores without an outage", func(ctx context.Context, t *testing.T) {
		points = s.rehearse(ctx, t)
	})
	for _, p := range pick(s.choice, points, 2) {
		kill := s.killApply
		switch {
		case p.order.Restore:
			kill = s.killRestore
		case p.order.Own != nil:
			kill = s.killProviding
		case p.order.Settings.CAGeneration != "":
			kill = s.killRotation
		}
		s.test(t, p.name, func(ctx context.Context, t *testing.T) { kill(ctx, t, p) })
	}
	if s.choice.all {
		s.test(t, "after all that, nothing is left", func(ctx context.Context, t *testing.T) {
			s.requireStock(ctx, t)
			s.requireNothing(ctx, t, deadScript)
		})
	}
}

// rehearse finds the points, and shows what happens where nobody is killed.
func (s *suite) rehearse(ctx context.Context, t *testing.T) []point {
	t.Helper()
	requests := s.ask(ctx, t)
	steps := apply.Plan(s.observe(ctx, t), everything())
	hardening, rotating, restoring := order{Settings: everything()}, order{Settings: rotated()}, order{Restore: true}
	hardened := s.record(ctx, t, hardening, steps)
	observed := s.observe(ctx, t)
	require.Empty(t, apply.Plan(observed, everything()))
	s.requireTraces(ctx, t)
	replaced := s.record(ctx, t, rotating, apply.Plan(observed, rotated()))
	observed = s.observe(ctx, t)
	require.Empty(t, apply.Plan(observed, rotated()))
	var providing []point
	if s.choice.all { // it is much like a rotation
		provided := order{Settings: everything(), Own: s.makeOwn(t)}
		want, err := provided.declared()
		require.NoError(t, err)
		installed := s.record(ctx, t, provided, apply.Plan(observed, want))
		observed = s.observe(ctx, t)
		require.Empty(t, apply.Plan(observed, want))
		providing = installed.points(s, "in an apply of the user's own certificates", provided)
	}
	restored := s.record(ctx, t, restoring, apply.PlanRestore(observed))
	s.requireStock(ctx, t)
	requireAllAnswered(t, requests)

	failing := order{Settings: everything()}
	failing.Settings.SetFlag(settings.APIServer, "no-such-flag", "1")
	forth, back := hardened.points(s, "in an apply", hardening), restored.points(s, "in a restore", restoring)
	rotation := replaced.points(s, "in a rotation of the CA", rotating)
	undo := s.undoPoints(steps, failing)
	require.GreaterOrEqual(t, len(worthwhile(forth)), leastPoints)
	if !s.choice.all {
		return slices.Concat(forth, rotation, back, undo)
	}
	// Restores and undos do what applies do, in reverse, and a rotation does much of it again: of their points, some are
	// enough at a time.
	points := worthwhile(forth)
	for _, others := range [][]point{worthwhile(rotation), worthwhile(providing), worthwhile(back), undo} {
		const every = 4
		for i := 0; i < len(others); i += every {
			points = append(points, others[i])
		}
	}
	return points
}

func (s *suite) killApply(ctx context.Context, t *testing.T, p point) {
	t.Helper()
	requests := s.ask(ctx, t)
	a := s.killAt(ctx, t, p)
	told := s.converge(ctx, t, everything())
	requireResumed(t, told, "an apply", a, p)
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}

// killRotation sees besides that whatever was interrupted ends with the CA that was asked for, and with no other.
func (s *suite) killRotation(ctx context.Context, t *testing.T, p point) {
	t.Helper()
	s.converge(ctx, t, everything())
	requests := s.ask(ctx, t)
	a := s.killAt(ctx, t, p)
	told := s.converge(ctx, t, rotated())
	requireResumed(t, told, "an apply", a, p)
	require.Equal(t, "2", s.observe(ctx, t).Generation())
	require.Equal(t, "1\n", run(ctx, t, s.controlPlane(), `cat /etc/kubernetes/pki/kubecomm/kubelet-ca-* | grep -c BEGIN`))
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}

func (s *suite) killRestore(ctx context.Context, t *testing.T, p point) {
	t.Helper()
	s.converge(ctx, t, everything())
	requests := s.ask(ctx, t)
	a := s.killAt(ctx, t, p)
	told := s.restore(ctx, t)
	requireResumed(t, told, "a restore", a, p)
	requireAllAnswered(t, requests)
}

// requireResumed sees that who comes next knows what was interrupted.
func requireResumed(t *testing.T, told heard, what string, a *applier, p point) {
	t.Helper()
	note := told.note(apply.Resumes)
	if a.last != nil {
		t.Logf("killed %s after its start; last heard was: step %d %s %s", a.last.Elapsed.Round(time.Second), a.last.Number,
			a.last.Event, a.last.Phase)
	}
	if p.journal == "" {
		assert.Empty(t, note)
		return
	}
	assert.Contains(t, note, fmt.Sprintf("%s by process %d on ", what, a.pid()))
	if p.inside == 0 { // later, the next step may have begun
		assert.Contains(t, note, p.journal)
	}
}
