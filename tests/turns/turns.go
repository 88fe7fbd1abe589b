// Package turns has what takes long in tests take turns in `make test`, by the day. Run by themselves, tests do all.
package turns

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// variable is a day, such as 2026-11-22, where tests take turns.
const variable = "KUBECOMM_TURNS"

// Turn says on which of every two days something is done.
type Turn int

// The turns.
const (
	Always Turn = iota
	First
	Second
)

// Has reports whether it is done on a day.
func (turn Turn) Has(day time.Time) bool {
	const secondsOfADay = 24 * 60 * 60
	return turn == Always || int(day.Unix()/secondsOfADay)%2 == int(turn-First)
}

// Take skips a test whose turn is on another day.
func (turn Turn) Take(t *testing.T) {
	t.Helper()
	text, given := os.LookupEnv(variable)
	if !given {
		return
	}
	day, err := time.Parse(time.DateOnly, text)
	require.NoError(t, err, variable)
	if !turn.Has(day) {
		t.Skipf("its turn is on another day than %s; without %s, it is done on any", text, variable)
	}
}
