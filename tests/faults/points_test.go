package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// long is what a phase takes at least that is worth being killed inside of.
const long = 500 * time.Millisecond

// point is a moment at which a provider is killed.
type point struct {
	name    string
	restore bool
	reached func(apply.Progress) bool // the event at which it comes; nil for the very beginning
	inside  time.Duration             // how long after that; 0 for at once
	left    func(apply.Progress) bool // the event that ends what it is inside of
	journal string                    // what the journal then says; empty if there is none
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

// points are the beginning of every phase of every step, half of every long phase, and what comes before the first and
// after the last of them.
func (r recorded) points(s *suite, restore bool) []point {
	points := []point{{
		name: "before the first step", restore: restore,
		inside: r.events[0].at.Sub(r.start) / 2, left: func(apply.Progress) bool { return true },
	}}
	for i, step := range r.steps {
		for _, phase := range step.Kind.Phases() {
			p := point{
				name: fmt.Sprintf("step %d of %d, %s: %s: %s", i+1, len(r.steps), s.shorten(step.Node), step.Kind, phase), restore: restore,
				reached: func(p apply.Progress) bool {
					return p.Event == apply.Begins && p.Number == i+1 && p.Phase == phase
				},
				left:    func(p apply.Progress) bool { return p.Number == i+1 },
				journal: string(step.Kind),
			}
			points = append(points, p)
			if took := r.took(p); took >= long {
				p.name += ", half done"
				p.inside = took / 2
				points = append(points, p)
			}
		}
	}
	done := 0
	return append(points, point{
		name: "after the last step", restore: restore,
		reached: func(p apply.Progress) bool {
			if p.Event == apply.Done {
				done++
			}
			return done == len(r.steps)
		},
		journal: string(r.steps[len(r.steps)-1].Kind),
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
func (s *suite) killAt(ctx context.Context, t *testing.T, o order, p point) *applier {
	t.Helper()
	a := s.start(ctx, t, o)
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
