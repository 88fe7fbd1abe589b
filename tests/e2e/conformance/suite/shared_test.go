package suite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatChecksShareIsMadeOnceAlsoIfThatFails(t *testing.T) {
	failure := errors.New("no room")
	for _, want := range []error{nil, failure} {
		made := 0
		shared := Shared[int]{What: "a pod", Build: func(context.Context, *Subject) (int, error) {
			made++
			return made, want
		}}
		for range 2 {
			value, err := shared.Get(t.Context(), nil)
			require.ErrorIs(t, err, want)
			if want != nil {
				require.EqualError(t, err, "making a pod: no room")
			}
			require.Equal(t, 1, value)
		}
		require.Equal(t, 1, made)
	}
}
