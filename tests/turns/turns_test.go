package turns

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOfTwoDaysEachTurnHasOne(t *testing.T) {
	day := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for range 3 { // over the end of a month
		assert.True(t, Always.Has(day), day)
		assert.NotEqual(t, First.Has(day), Second.Has(day), day)
		next := day.AddDate(0, 0, 1)
		assert.NotEqual(t, First.Has(day), First.Has(next), day)
		day = next
	}
}

func TestWhatHasNoTurnIsSkippedOnThatDayAlone(t *testing.T) {
	done := func(turn Turn) (done bool) {
		t.Run("", func(t *testing.T) {
			turn.Take(t)
			done = true
		})
		return done
	}
	t.Setenv(variable, "2026-11-29")
	assert.True(t, done(Always))
	assert.True(t, done(First))
	assert.False(t, done(Second))
	t.Setenv(variable, "2026-11-30")
	assert.False(t, done(First))
	assert.True(t, done(Second))
}
