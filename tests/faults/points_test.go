package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// long is what a phase takes at least that is worth being killed inside of.
const long = time.Second

// point is a moment at which a provider is killed.
type point struct {
	name    string
	want    settings.Settings         // what is declared
	kind    apply.Kind                // of the step that the provider is at; empty before the first
	order   order                     // what the provider does
	reached func(apply.Progress) bool // the event at which it comes; nil for the very beginning
	inside  time.Duration             // how long after that; 0 for at once
	left    func(apply.Progress) bool // the event that ends what it is inside of
	journal string                    // a part of what the journal then says; empty if there is none
}

// recorded is an apply or restore that was left to itself.
type recorded struct {
	steps  []apply.Step
	events []event
	start  time.Time
}

type event struct {
	apply.Progress
	at time.Time
}

// record has an applier do all of it.
func (s *suite) record(ctx context.Context, t *testing.T, o order, steps []apply.Step) recorded {
	t.Helper()
	r := recorded{steps: steps, start: time.Now()}
	a := s.start(ctx, t, o)
	for {
		m, err := a.next(ctx, t, nil)
		require.NoError(t, err)
		if m.Outcome != nil {
			require.Equal(t, outcome{}, *m.Outcome)
			a.goOn(t)
			return r
		}
		r.events = append(r.events, event{*m.Progress, time.Now()})
	}
}

// points are the beginning and the half of every phase of every kind of step, the beginning of every other step, which does
// the same on another node, and what comes before the first and after the last of them.
func (r recorded) points(s *suite, during string, o order) []point {
	points := []point{{
		name: during + ", before the first step", order: o,
		inside: r.events[0].at.Sub(r.start) / 2, left: func(apply.Progress) bool { return true },
	}}
	for i, step := range r.steps {
		phases := step.Kind.Phases()
		if slices.ContainsFunc(r.steps[:i], func(earlier apply.Step) bool { return earlier.Kind == step.Kind }) {
			phases = phases[:1]
		}
		for _, phase := range phases {
			p := point{
				name:  fmt.Sprintf("%s, step %d of %d, %s: %s: %s", during, i+1, len(r.steps), s.shorten(step.Node), step.Kind, phase),
				kind:  step.Kind,
				order: o,
				reached: func(p apply.Progress) bool {
					return p.Event == apply.Begins && p.Number == i+1 && p.Phase == phase
				},
				left:    func(p apply.Progress) bool { return p.Number == i+1 },
				journal: string(step.Kind),
			}
			points = append(points, p)
			p.name += ", half done"
			p.inside = r.took(p) / 2
			points = append(points, p)
		}
	}
	done := 0
	return append(points, point{
		name: during + ", after the last step", order: o,
		reached: func(p apply.Progress) bool {
			if p.Event == apply.Done {
				done++
			}
			return done == len(r.steps)
		},
		journal: string(r.steps[len(r.steps)-1].Kind),
	})
}

// undoPoints are the beginnings of the ways back of an apply that fails when it replaces the apiserver.
func (s *suite) undoPoints(steps []apply.Step, o order) []point {
	var points []point
	last := slices.IndexFunc(steps, func(step apply.Step) bool { return step.Kind == apply.ReplaceAPIServer })
	for i, step := range steps[:last+1] {
		points = append(points, point{
			name:    fmt.Sprintf("in an undo, of step %d of %d, %s: %s", i+1, len(steps), s.shorten(step.Node), step.Kind),
			kind:    step.Kind,
			order:   o,
			reached: func(p apply.Progress) bool { return p.Event == apply.Undoing && p.Number == i+1 },
			journal: "an apply",
		})
	}
	return points
}

// worthwhile leaves out what is inside of phases that are over at once.
func worthwhile(points []point) []point {
	return slices.DeleteFunc(slices.Clone(points), func(p point) bool {
		return strings.HasSuffix(p.name, "half done") && p.inside < long/2
	})
}

// took returns how long a phase took.
func (r recorded) took(p point) time.Duration {
	var begun time.Time
	for _, e := range r.events {
		switch {
		case begun.IsZero() && p.reached(e.Progress):
			begun = e.at
		case !begun.IsZero() && p.left(e.Progress):
			return e.at.Sub(begun)
		}
	}
	return 0
}

// shorten takes the cluster's name, which is another in every run, out of a node's.
func (s *suite) shorten(node string) string { return strings.TrimPrefix(node, s.name+"-") }

// killAt starts an applier and kills it there.
func (s *suite) killAt(ctx context.Context, t *testing.T, p point) *applier {
	t.Helper()
	a := s.start(ctx, t, p.order)
	if p.reached != nil {
		a.reach(ctx, t, p.reached)
	}
	if p.inside > 0 {
		timer := time.NewTimer(p.inside)
		defer timer.Stop()
		for {
			m, err := a.next(ctx, t, timer.C)
			if err == nil && m.Progress != nil && !p.left(*m.Progress) {
				continue
			}
			if err != nil {
				require.ErrorIs(t, err, errTimeOut)
			}
			break
		}
	}
	a.kill()
	return a
}
