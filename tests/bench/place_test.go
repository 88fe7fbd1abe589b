package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
)

func TestALineThatIsBeingWrittenIsLeftOut(t *testing.T) {
	records, err := parseRecords([]byte(`{"answer":{"took":7}}
{"moment":{"thing":"watch","what":"ended"}}
{"answer":{"too`))
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.EqualValues(t, 7, answersOf(records)[0].Took)
	require.Equal(t, observer.Ended, momentsOf(records)[0].What)
}

func TestALineThatMeansNothingIsNotLeftOut(t *testing.T) {
	_, err := parseRecords([]byte("{\"answer\":{\"took\":7}}\nkilled\n"))
	require.ErrorContains(t, err, `"killed\n"`)
}
