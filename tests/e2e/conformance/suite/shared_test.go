package suite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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

func TestWhatChecksShareIsWaitedForOnceAndEveryCheckIsToldWhyInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := Shared[int]{What: "the pods", Build: func(ctx context.Context, _ *Subject) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("a pod is pending: %w", context.Cause(ctx))
		}}
		check := Check{Limit: SharedLimit, Try: shared.With(nil)}
		start := time.Now()
		for range 3 {
			result := check.Do(t.Context(), nil)
			require.Equal(t, Failed, result.Verdict)
			require.Equal(t, "making the pods: a pod is pending: it took longer than 4m0s", result.Reason)
		}
		require.Equal(t, ReadyLimit, time.Since(start))
	})
}
