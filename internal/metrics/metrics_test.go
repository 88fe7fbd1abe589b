package metrics

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const text = `# HELP dials_total What was dialled.
# TYPE dials_total counter
dials_total{node="a",result="ok"} 3
dials_total{node="a b",result="ok"} 1.234567e+06
dials_total{node="a",result="failed"} 2
dials_total_other 9
all_dials_total 7
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 4
took_seconds_bucket{le="+Inf"} 5
took_seconds_sum 6.5
took_seconds_count 5
broken_total{node="a"} many
last_total 8`

func TestSamplesOfAMetricAreAddedUpThatHaveTheLabels(t *testing.T) {
	tests := map[string]struct {
		name   string
		labels Labels
		want   int
	}{
		"all of a metric's":            {"dials_total", nil, 1234572},
		"those of a label":             {"dials_total", Labels{"node": "a"}, 5},
		"those of two labels":          {"dials_total", Labels{"node": "a", "result": "failed"}, 2},
		"a label's value with a space": {"dials_total", Labels{"node": "a b"}, 1234567},
		"nothing counted as yet":       {"dials_total", Labels{"node": "b"}, 0},
		"no label of that name":        {"dials_total", Labels{"nod": "a"}, 0},
		"a name that begins the same":  {"dials_total_other", nil, 9},
		"what a histogram has counted": {"took_seconds_count", nil, 5},
		"no such metric":               {"dials", nil, 0},
		"the end of the text":          {"last_total", nil, 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Sum([]byte(text), test.name, test.labels)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestASampleThatCanNotBeReadIsNoZero(t *testing.T) {
	_, err := Sum([]byte(text), "broken_total", nil)
	require.ErrorContains(t, err, "reading metric broken_total: ")
	require.ErrorContains(t, err, "many")
}
