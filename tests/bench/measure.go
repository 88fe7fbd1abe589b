package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

const (
	applyLimit    = 10 * time.Minute
	settleLimit   = 3 * time.Minute
	countInterval = 5 * time.Second // long, because counting takes time on the nodes
	// quietRequests is how many requests show what clients notice of the machine itself, when nothing is changed.
	quietRequests = 500
	// settledAnswers is how many answers in a row show that a client is well.
	settledAnswers = 20
)

// changedFlag is the flag that applies change, and then somebody by hand. Its values alternate.
const changedFlag = "profiling"

func valueOf(change int) string { return strconv.FormatBool(change%2 != 0) }

// measure has observers everywhere, applies changes until there were enough requests meanwhile, and then makes the same
// change by hand.
func measure(ctx context.Context, b *bed, o options) (result, error) {
	observing, stop := context.WithCancel(ctx)
	defer stop()
	group, observing := errgroup.WithContext(observing)
	places := b.observe(observing, group)
	found := result{options: o}

	if err := settle(observing, places, time.Now()); err != nil {
		return found, err
	}
	var err error
	if found.quiet, err = changeNothing(observing, places); err != nil {
		return found, err
	}
	for made := 0; made < o.requests; {
		before, err := count(ctx, places)
		if err != nil {
			return found, err
		}
		applied, err := applyChange(observing, b, places, len(found.applied))
		if err != nil {
			return found, err
		}
		found.applied = append(found.applied, applied)
		after, err := count(ctx, places)
		if err != nil {
			return found, err
		}
		made += after - before
	}
	if found.byHand, err = changeByHand(observing, b, places, valueOf(len(found.applied))); err != nil {
		return found, err
	}
	for _, place := range places {
		records, err := place.records(ctx)
		if err != nil {
			return found, err
		}
		found.seen = append(found.seen, split(place.name(), records)...)
	}
	stop()
	return found, group.Wait()
}

// observe starts the observers on this machine. Those in pods run already.
func (b *bed) observe(ctx context.Context, group *errgroup.Group) []place {
	outside := &local{title: "outside, through the kubeconfig's port"}
	writer := &local{title: fmt.Sprintf("outside, writing every %s", beatPace)}
	group.Go(func() error { return outside.observe(ctx, b.config, b.clients) })
	group.Go(func() error { return writer.write(ctx, b.config) })
	for _, session := range b.sessions(outside.keep) {
		group.Go(func() error { session.run(ctx); return nil })
	}
	places := []place{outside, writer}
	for _, node := range b.cluster.Nodes() {
		places = append(places, pod{node})
	}
	return places
}

// settle waits until every client has had answers for a while, and everything held is held.
func settle(ctx context.Context, places []place, since time.Time) error {
	for _, place := range places {
		options := wait.Options{Limit: settleLimit, Every: time.Second}
		err := wait.Until(ctx, "clients to be well: "+place.name(), options, func(ctx context.Context) error {
			records, err := place.records(ctx)
			if err != nil {
				return err
			}
			for _, seen := range split(place.name(), records) {
				if err := checkWell(seen.records, since); err != nil {
					return fmt.Errorf("%s: %w", seen.place, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func checkWell(records []observer.Record, since time.Time) error {
	answers := answersOf(records)
	if len(answers) < settledAnswers {
		return fmt.Errorf("only %d answers", len(answers))
	}
	answers = answers[len(answers)-settledAnswers:]
	if answers[0].Asked.Before(since) {
		return fmt.Errorf("fewer than %d answers since", settledAnswers)
	}
	for _, answer := range answers {
		if answer.Error != "" {
			return errors.New(answer.Error)
		}
	}
	for thing, last := range lastTurns(momentsOf(records)) {
		if last.What != observer.Began {
			return fmt.Errorf("%s: %s: %s", thing, last.What, last.Why)
		}
	}
	return nil
}

// lastTurns says of each thing how it last began, ended or was refused.
func lastTurns(moments []observer.Moment) map[string]observer.Moment {
	last := map[string]observer.Moment{}
	for _, moment := range moments {
		switch moment.What {
		case observer.Began, observer.Ended, observer.Refused:
			last[moment.Thing] = moment
		}
	}
	return last
}

// applyChange is what a terraform apply does: the first makes the cluster a hardened one besides. It returns when clients are
// well again.
func applyChange(ctx context.Context, b *bed, places []place, number int) (change, error) {
	want := settings.Defaults()
	want.SetFlag(settings.APIServer, changedFlag, valueOf(number))
	title := fmt.Sprintf("apply %d: kubecomm replaces every kube-apiserver, for --%s=%s", number+1, changedFlag, valueOf(number))
	made := change{title: title, window: steady.Window{From: time.Now()}}
	limited, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	_, err := apply.Apply(limited, apply.On(b.cluster), apply.Options{
		Settings: want, Now: time.Now, Progress: func(p apply.Progress) { made.marks = append(made.marks, markOf(p)) },
	})
	if err != nil {
		return change{}, err
	}
	made.took = time.Since(made.window.From)
	made.marks = append(made.marks, mark{time.Now(), "the apply has ended"})
	err = settle(ctx, places, time.Now())
	made.window.To = time.Now()
	return made, err
}

// changeNothing is the control: gaps that clients see here are the machine's.
func changeNothing(ctx context.Context, places []place) (change, error) {
	before, err := count(ctx, places)
	if err != nil {
		return change{}, err
	}
	made := change{title: "nothing is changed", window: steady.Window{From: time.Now()}}
	err = waitForMore(ctx, places, before, quietRequests)
	made.window.To = time.Now()
	made.took = made.window.To.Sub(made.window.From)
	return made, err
}

func waitForMore(ctx context.Context, places []place, before, requests int) error {
	options := wait.Options{Limit: applyLimit, Every: countInterval}
	return wait.Until(ctx, fmt.Sprintf("%d requests", requests), options, func(ctx context.Context) error {
		now, err := count(ctx, places)
		if err == nil && now-before < requests {
			err = fmt.Errorf("only %d", now-before)
		}
		return err
	})
}

func count(ctx context.Context, places []place) (int, error) {
	total := 0
	for _, place := range places {
		answers, err := place.answers(ctx)
		if err != nil {
			return 0, err
		}
		total += answers
	}
	return total, nil
}

// mark says what began at a moment.
type mark struct {
	at   time.Time
	what string
}

func markOf(p apply.Progress) mark {
	what := string(p.Event)
	switch {
	case p.Phase != "":
		what = p.Phase
	case p.Note != "":
		what += " " + p.Note
	}
	if p.Step.Node != "" {
		what = fmt.Sprintf("%s: %s: %s", p.Step.Node, p.Step.Kind, what)
	}
	return mark{time.Now(), what}
}
