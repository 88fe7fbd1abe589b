package provider_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// turnsVariable is a day such as 2026-11-22 where long tests take turns, as they do in `make test`. Without it, all are run,
// as by `make testacc`.
const turnsVariable = "KUBECOMM_TURNS"

// takeTurns are the tests that take longest and are about one part of the settings each. Of every two neighbours, one has its
// turn on a day, and the other on the next.
var takeTurns = []string{
	"TestAccANodesKubeletHasItsOwnSettingsAndWhatKubecommDoesNotChangeIsFound",
	"TestAccCertificatesOfTheUsersOwnAreAppliedRepairedAndReverted",
	"TestAccKubeletsRequestTheirCertificatesAndAProgramOnTheNodeApproves",
	"TestAccTheApiserversIdentityAtKubeletsIsNarrowedRepairedAndReverted",
	"TestAccATunnelIsAppliedRepairedAndTakenAway",
	"TestAccAnSSHTunnelIsAppliedRepairedAndTakenAway",
}

// inTurn skips a test whose turn is on another day.
func inTurn(t *testing.T) {
	t.Helper()
	text, given := os.LookupEnv(turnsVariable)
	if !given {
		return
	}
	day, err := time.Parse(time.DateOnly, text)
	require.NoError(t, err, turnsVariable)
	if !hasTurn(t.Name(), day) {
		t.Skipf("its turn is on another day than %s; make testacc runs it on any", text)
	}
}

func hasTurn(test string, day time.Time) bool {
	const secondsOfADay = 24 * 60 * 60
	return (slices.Index(takeTurns, test)+int(day.Unix()/secondsOfADay))%2 == 0
}

func TestEveryLongTestHasItsTurnOnOneOfTwoDays(t *testing.T) {
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	var had []string
	for range 2 {
		before := len(had)
		for _, test := range takeTurns {
			if hasTurn(test, day) {
				had = append(had, test)
			}
		}
		require.InDelta(t, len(takeTurns)/2, len(had)-before, 1, "a day has about half of them")
		day = day.AddDate(0, 0, 1)
	}
	require.ElementsMatch(t, takeTurns, had)
}
