package main

import (
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// result is what was measured.
type result struct {
	options options
	quiet   change
	applied []change // in order
	byHand  change
	seen    []seen
}

// change is a change of apiservers, and when clients were looked at.
type change struct {
	title  string
	took   time.Duration
	window steady.Window
	marks  []mark
}

// seen is what was seen at a place, by who asked one address.
type seen struct {
	place   string
	records []observer.Record
}

// total is what became of all requests of all places.
type total struct {
	requests, failed int
	longest, outage  time.Duration
}

// total adds up changes. What happened between them is left out.
func (r result) total(changes ...change) total {
	var sum total
	for _, c := range changes {
		for _, seen := range r.seen {
			report := steady.Summarize(answersOf(seen.records), c.window)
			sum.requests += report.Requests
			sum.failed += len(report.Failures)
			sum.longest = max(sum.longest, report.Longest)
			sum.outage = max(sum.outage, report.Outage)
		}
	}
	return sum
}

// median is of how long changes took: of an even number, the mean of the two in the middle.
func median(changes []change) time.Duration {
	if len(changes) == 0 {
		return 0
	}
	var took []time.Duration
	for _, c := range changes {
		took = append(took, c.took)
	}
	slices.Sort(took)
	middle := len(took) / 2
	if len(took)%2 != 0 {
		return took[middle]
	}
	return (took[middle-1] + took[middle]) / 2
}

// holding is what became of a held connection during a change.
type holding struct {
	place, thing string
	ends         []observer.Moment
	back         time.Duration // the longest from an end until it was held again
	away         bool          // whether it was not held at the end
	silence      time.Duration // the longest between two things that arrived
	lost         int           // how often changes were missed
	repeated     int
	relisted     int
}

// holdings sums up every held connection, in the order in which they began.
func (r result) holdings(c change) []holding {
	var all []holding
	for _, seen := range r.seen {
		moments := momentsOf(seen.records)
		var order []string
		byThing := map[string][]observer.Moment{}
		for _, moment := range moments {
			if byThing[moment.Thing] == nil {
				order = append(order, moment.Thing)
			}
			byThing[moment.Thing] = append(byThing[moment.Thing], moment)
		}
		for _, thing := range order {
			held := hold(byThing[thing], c.window)
			held.place, held.thing = seen.place, thing
			all = append(all, held)
		}
	}
	return all
}

// hold sums up the moments of one thing in a window.
func hold(moments []observer.Moment, window steady.Window) holding {
	var held holding
	var ended time.Time
	heard := window.From
	for _, moment := range moments {
		if moment.At.Before(window.From) || !moment.At.Before(window.To) {
			continue
		}
		switch moment.What {
		case observer.Began:
			if !ended.IsZero() {
				held.back = max(held.back, moment.At.Sub(ended))
			}
			ended = time.Time{}
		case observer.Ended:
			held.ends = append(held.ends, moment)
			ended = moment.At
		case observer.Heard:
			held.silence = max(held.silence, moment.At.Sub(heard))
			heard = moment.At
		case observer.Lost:
			held.lost++
		case observer.Repeated:
			held.repeated++
		case observer.Relisted:
			held.relisted++
		}
	}
	held.away = !ended.IsZero()
	held.silence = max(held.silence, window.To.Sub(heard))
	return held
}

// phase says what had begun last at a moment.
func (c change) phase(at time.Time) string {
	last := "before it began"
	for _, mark := range c.marks {
		if mark.at.After(at) {
			break
		}
		last = mark.what
	}
	return last
}
