package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

func TestAHoldingSumsUpWhatHappenedInItsWindow(t *testing.T) {
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	moment := func(second int, what observer.What) observer.Moment {
		return observer.Moment{At: at(second), What: what}
	}
	window := steady.Window{From: at(10), To: at(30)}
	for name, c := range map[string]struct {
		moments []observer.Moment
		want    holding
	}{
		"it was held all the time": {
			[]observer.Moment{moment(1, observer.Began), moment(12, observer.Heard), moment(29, observer.Heard)},
			holding{silence: 17 * time.Second},
		},
		"it ended twice and was back": {
			[]observer.Moment{
				moment(12, observer.Ended), moment(13, observer.Began), moment(15, observer.Ended),
				moment(16, observer.Refused), moment(19, observer.Began), moment(29, observer.Relisted),
			},
			holding{
				ends: []observer.Moment{moment(12, observer.Ended), moment(15, observer.Ended)},
				back: 4 * time.Second, silence: 20 * time.Second, relisted: 1,
			},
		},
		"it never came back": {
			[]observer.Moment{moment(20, observer.Ended), moment(21, observer.Refused), moment(31, observer.Began)},
			holding{ends: []observer.Moment{moment(20, observer.Ended)}, away: true, silence: 20 * time.Second},
		},
		"what happened before and after is left out": {
			[]observer.Moment{moment(9, observer.Lost), moment(15, observer.Lost), moment(30, observer.Repeated)},
			holding{silence: 20 * time.Second, lost: 1},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, hold(c.moments, window)) })
	}
}

func TestATotalLeavesOutWhatHappensBetweenChanges(t *testing.T) {
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	var records []observer.Record
	for second := range 30 {
		answer := steady.Answer{Asked: at(second), Took: time.Second / 2}
		if second == 5 || second == 12 {
			answer.Error = "refused"
		}
		records = append(records, observer.Record{Answer: &answer})
	}
	r := result{seen: []seen{{records: records}}, applied: []change{
		{window: steady.Window{From: at(0), To: at(10)}}, {window: steady.Window{From: at(20), To: at(25)}},
	}}
	require.Equal(t, total{requests: 15, failed: 1, longest: 2 * time.Second, outage: 1500 * time.Millisecond}, r.total(r.applied...))
}

func TestTheMedianIsOfWhatIsInTheMiddle(t *testing.T) {
	took := func(all ...time.Duration) []change {
		var changes []change
		for _, one := range all {
			changes = append(changes, change{took: one})
		}
		return changes
	}
	require.Zero(t, median(nil))
	require.EqualValues(t, 2, median(took(9, 1, 2)))
	require.EqualValues(t, 3, median(took(9, 1, 2, 4)))
}

func TestAMomentIsInThePhaseThatBeganLast(t *testing.T) {
	start := time.Now()
	c := change{marks: []mark{{start, "first"}, {start.Add(time.Second), "second"}}}
	require.Equal(t, "before it began", c.phase(start.Add(-time.Second)))
	require.Equal(t, "first", c.phase(start))
	require.Equal(t, "second", c.phase(start.Add(time.Minute)))
}
