package faults

import (
	"context"
	"fmt"
	"maps"
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
	all := declarations(s.saveTunnelImages(t))
	for _, d := range pickDeclarations(s.choice, all) {
		name := "left to itself, the provider applies and restores without an outage, with " + d.name
		s.test(t, name, func(ctx context.Context, t *testing.T) {
			found := s.rehearse(ctx, t, d)
			if s.choice.all && len(d.own) > 0 {
				found = slices.DeleteFunc(found, func(p point) bool { return !slices.Contains(d.own, p.kind) })
			}
			points = append(points, found...)
		})
	}
	if !s.choice.all {
		t.Logf("%d points, of which each has its turn within %d days", len(points), cycleOf(len(all), len(points)))
	}
	for _, p := range pickPoints(s.choice, all, points) {
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

// pointsADay is about how many points a day has.
const pointsADay = 2

// declaration is one of those whose plans tell points.
type declaration struct {
	name string
	want settings.Settings
	// own are the kinds of steps that others than the first declaration don't have, or that do more: with all points, only
	// those of theirs are among them.
	own []apply.Kind
	// renewed is one that goes on: to a rotation of the CA, and to the user's own certificates.
	renewed bool
}

// declarations are everything, with each source of serving certificates, and with each kind of tunnel.
func declarations(images string) []declaration {
	requested := everything()
	requested.ServingSource = settings.CSR
	return []declaration{
		{name: string(settings.DedicatedCA), want: everything(), renewed: true},
		{name: string(settings.CSR), want: requested, own: []apply.Kind{
			apply.ReplaceControllerManager, apply.AllowApprover, apply.InstallApprover, apply.ConfigureKubelet, apply.RemoveApprover,
			apply.DisallowApprover,
		}},
		{name: "an SSH tunnel", want: tunnelledBySSH(), own: []apply.Kind{
			apply.AllowSSHProxy, apply.MakeSSHKeys, apply.InstallSSHServer, apply.InstallSSHProxy, apply.RemoveSSHProxy,
			apply.RemoveSSHServer, apply.DisallowSSHProxy,
		}},
		{name: "Konnectivity", want: tunnelled(images), own: []apply.Kind{
			apply.LoadKonnectivityImages, apply.InstallKonnectivityServer, apply.RunKonnectivityAgents, apply.RemoveKonnectivityAgents, apply.RemoveKonnectivityServer,
		}},
	}
}

// pickDeclarations has declarations take turns day by day: to find the points of one takes minutes. Each part of all has all of
// them, and its own of their points.
func pickDeclarations[T any](c choice, all []T) []T {
	if c.of > 0 {
		return all
	}
	return pick(c, all, 1)
}

func pickPoints[D, T any](c choice, all []D, points []T) []T {
	return pick(c.turn(len(all)), points, pointsADay)
}

// cycleOf is how many days it takes until each of so many points of every declaration had its turn.
func cycleOf(declarations, points int) int { return declarations * periodOf(points, pointsADay) }

// rehearse finds the points, and shows what happens where nobody is killed.
func (s *suite) rehearse(ctx context.Context, t *testing.T, d declaration) []point {
	t.Helper()
	want := d.want
	requests := s.ask(ctx, t)
	steps := apply.Plan(s.observe(ctx, t), want)
	hardening, restoring := order{Settings: want}, order{Restore: true}
	hardened := s.record(ctx, t, hardening, steps)
	observed := s.observe(ctx, t)
	require.Empty(t, apply.Plan(observed, want))
	s.requireTraces(ctx, t)
	var rotation, providing []point
	if d.renewed {
		rotation = s.rehearseNext(ctx, t, "in a rotation of the CA", order{Settings: rotated()})
		if s.choice.all { // it is much like a rotation
			providing = s.rehearseNext(ctx, t, "in an apply of the user's own certificates", order{Settings: want, Own: s.makeOwn(t)})
		}
		observed = s.observe(ctx, t)
	}
	restored := s.record(ctx, t, restoring, apply.PlanRestore(observed))
	s.requireStock(ctx, t)
	requireAllAnswered(t, requests)

	failing := order{Settings: d.failing()}
	with := " with " + d.name
	forth, back := hardened.points(s, "in an apply"+with, hardening), restored.points(s, "in a restore"+with, restoring)
	undo := s.undoPoints(steps, failing)
	for _, points := range [][]point{forth, back, undo} {
		for i := range points {
			points[i].want = want
		}
	}
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

// failing is the same with a flag that no apiserver has.
func (d declaration) failing() settings.Settings {
	want := d.want
	want.Flags = maps.Clone(want.Flags)
	want.Flags[settings.APIServer] = maps.Clone(want.Flags[settings.APIServer])
	want.SetFlag(settings.APIServer, "no-such-flag", "1")
	return want
}

// rehearseNext finds the points of an apply that comes after another.
func (s *suite) rehearseNext(ctx context.Context, t *testing.T, during string, o order) []point {
	t.Helper()
	want, err := o.declared()
	require.NoError(t, err)
	done := s.record(ctx, t, o, apply.Plan(s.observe(ctx, t), want))
	require.Empty(t, apply.Plan(s.observe(ctx, t), want))
	return done.points(s, during, o)
}

func (s *suite) killApply(ctx context.Context, t *testing.T, p point) {
	t.Helper()
	requests := s.ask(ctx, t)
	a := s.killAt(ctx, t, p)
	told := s.converge(ctx, t, p.want)
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
	s.converge(ctx, t, p.want)
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
