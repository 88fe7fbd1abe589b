package faults

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const choiceVariable = "KUBECOMM_FAULTS"

// choice is which cases are run: all, a part of all, or a day's.
type choice struct {
	all      bool
	part, of int // which of how many parts; 0 for the whole
	day      time.Time
}

func parseChoice(text string, now time.Time) (choice, error) {
	switch text {
	case "all":
		return choice{all: true}, nil
	case "", "today":
		return choice{day: now.UTC()}, nil
	}
	if part, of, ok := strings.Cut(text, "/"); ok {
		c := choice{all: true}
		var errs [2]error
		c.part, errs[0] = strconv.Atoi(part)
		c.of, errs[1] = strconv.Atoi(of)
		if err := errors.Join(errs[:]...); err != nil || c.part < 1 || c.part > c.of {
			return choice{}, fmt.Errorf("%s=%s is no part such as 1/3: %w", choiceVariable, text, err)
		}
		return c, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return choice{}, fmt.Errorf("%s=%s is neither all, 1/3 of it, today nor a day such as 2026-11-22: %w", choiceVariable, text, err)
	}
	return choice{day: day}, nil
}

func (c choice) String() string {
	if c.of > 0 {
		return fmt.Sprintf("%s=%d/%d", choiceVariable, c.part, c.of)
	}
	if c.all {
		return choiceVariable + "=all"
	}
	return choiceVariable + "=" + c.day.Format(time.DateOnly)
}

// pick chooses about count cases that lie far from each other, because neighbours are alike. In as many days as it takes
// at that rate, each has its turn.
func pick[T any](c choice, cases []T, count int) []T {
	if c.of > 0 {
		return every(cases, c.part-1, c.of)
	}
	if c.all || len(cases) <= count {
		return cases
	}
	period := periodOf(len(cases), count)
	return every(cases, c.number()%period, period)
}

// periodOf is how many days it takes until each of so many cases had its turn.
func periodOf(cases, count int) int { return (cases + count - 1) / count }

const dayLength = 24 * time.Hour

// number counts days.
func (c choice) number() int { return int(c.day.Unix() / int64(dayLength.Seconds())) }

// turn is the choice for cases that have their turn every so many days alone, as one of so many groups that take turns day by
// day: it counts the group's turns in place of days. To choose by the day both the group and among its cases would join some
// of them never, where both periods have a common factor.
func (c choice) turn(groups int) choice {
	if !c.all {
		c.day = time.Unix(int64(c.number()/groups)*int64(dayLength.Seconds()), 0).UTC()
	}
	return c
}

func every[T any](cases []T, first, period int) []T {
	var picked []T
	for i := first; i < len(cases); i += period {
		picked = append(picked, cases[i])
	}
	return picked
}

func TestThePartsOfAllAreAll(t *testing.T) {
	cases := []int{0, 1, 2, 3, 4, 5, 6}
	var seen []int
	for _, text := range []string{"1/3", "2/3", "3/3"} {
		part, err := parseChoice(text, time.Now())
		require.NoError(t, err)
		assert.Equal(t, choiceVariable+"="+text, part.String())
		seen = append(seen, pick(part, cases, 1)...)
	}
	slices.Sort(seen)
	assert.Equal(t, cases, seen)
	for _, text := range []string{"0/3", "4/3", "a/3", "1/"} {
		_, err := parseChoice(text, time.Now())
		require.ErrorContains(t, err, "no part such as 1/3", text)
	}
}

func TestEveryCaseHasItsTurnWithinAPeriod(t *testing.T) {
	cases := []int{0, 1, 2, 3, 4, 5, 6}
	var seen []int
	for day := range 4 {
		picked := pick(choice{day: time.Date(2026, 11, 22+day, 23, 0, 0, 0, time.UTC)}, cases, 2)
		assert.LessOrEqual(t, len(picked), 2)
		assert.NotEmpty(t, picked)
		seen = append(seen, picked...)
	}
	slices.Sort(seen)
	assert.Equal(t, cases, seen)
}

// TestEveryPointOfEveryDeclarationHasItsTurnWithinACycle chooses as killed does, of numbers of points such as those of the plans
// that there are, which are the first.
func TestEveryPointOfEveryDeclarationHasItsTurnWithinACycle(t *testing.T) {
	all := []int{0, 1, 2, 3}
	for _, counts := range [][]int{{218, 169, 230, 192}, {219, 203, 90, 180}, {3, 4, 5, 6}, {1, 2, 3, 4}, {9, 9, 9, 9}} {
		type turn struct{ declaration, point int }
		want, seen := map[turn]bool{}, map[turn]bool{}
		pointsOf := map[int][]int{}
		for _, d := range all {
			for n := range counts[d] {
				pointsOf[d] = append(pointsOf[d], n)
				want[turn{d, n}] = true
			}
		}
		cycle := cycleOf(len(all), slices.Max(counts))
		for day := range cycle {
			c := choice{day: time.Date(2026, 11, 22+day, 23, 0, 0, 0, time.UTC)}
			chosen := pickDeclarations(c, all)
			require.Len(t, chosen, 1)
			picked := pickPoints(c, all, pointsOf[chosen[0]])
			assert.LessOrEqual(t, len(picked), pointsADay)
			for _, n := range picked {
				seen[turn{chosen[0], n}] = true
			}
		}
		assert.Equal(t, want, seen, "%v points in %d days", counts, cycle)
	}
}

func TestADayCanBeRepeated(t *testing.T) {
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.FixedZone("east", 3600*3))
	today, err := parseChoice("", now)
	require.NoError(t, err)
	assert.Equal(t, "KUBECOMM_FAULTS=2026-11-21", today.String(), "days are UTC's")
	repeated, err := parseChoice("2026-11-21", now.AddDate(0, 1, 0))
	require.NoError(t, err)
	cases := []string{"a", "b", "c", "d", "e"}
	assert.Equal(t, pick(today, cases, 2), pick(repeated, cases, 2))
	_, err = parseChoice("tomorrow", now)
	require.ErrorContains(t, err, "KUBECOMM_FAULTS=tomorrow is neither all, 1/3 of it, today nor a day")
}
