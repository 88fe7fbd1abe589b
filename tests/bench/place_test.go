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

func TestWhatWasSeenIsTakenApartByTheAddressThatWasAsked(t *testing.T) {
	require.Equal(t, []seen{{place: "pod"}}, split("pod", nil), "where nothing was seen, nothing is well")
	records, err := parseRecords([]byte(`{"answer":{"took":8},"of":"[fd00::2]:6443"}
{"answer":{"took":7}}
{"moment":{"thing":"watch","what":"ended"}}
{"answer":{"took":9},"of":"[fd00::2]:6443"}
`))
	require.NoError(t, err)
	all := split("pod", records)
	require.Len(t, all, 2)
	require.Equal(t, "pod", all[0].place)
	require.Len(t, answersOf(all[0].records), 1)
	require.Len(t, momentsOf(all[0].records), 1)
	require.Equal(t, "pod, at [fd00::2]:6443", all[1].place)
	require.Len(t, answersOf(all[1].records), 2)
}
