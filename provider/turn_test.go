package provider_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/turns"
)

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
	i := slices.Index(takeTurns, t.Name())
	require.GreaterOrEqual(t, i, 0, "it is in the list of those that take turns")
	[]turns.Turn{turns.First, turns.Second}[i%2].Take(t)
}
