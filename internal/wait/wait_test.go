package wait

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errNotYet = errors.New("not yet")

func TestAWaitEndsWhenTheConditionHolds(t *testing.T) {
	looks := 0
	err := Until(t.Context(), "it", Options{Limit: time.Minute, Every: time.Millisecond}, func(context.Context) error {
		looks++
		if looks < 3 {
			return errNotYet
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 3, looks)
}

func TestAWaitThatIsOverSaysForWhatAndWhyNot(t *testing.T) {
	err := Until(t.Context(), "the kubelet", Options{Limit: 5 * time.Millisecond, Every: time.Millisecond},
		func(context.Context) error { return errNotYet })
	require.ErrorIs(t, err, errNotYet)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "for the kubelet")
}

func TestALookThatTheLimitCutShortDoesNotHideTheReason(t *testing.T) {
	looks := 0
	err := Until(t.Context(), "it", Options{Limit: 20 * time.Millisecond, Every: time.Millisecond},
		func(ctx context.Context) error {
			looks++
			if looks == 1 {
				return errNotYet
			}
			<-ctx.Done()
			return ctx.Err()
		})
	require.ErrorIs(t, err, errNotYet)
}

func TestACancelledWaitSaysWhoCancelledIt(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := Until(ctx, "it", Options{Limit: time.Minute, Every: time.Millisecond}, func(context.Context) error {
		cancel(interrupted)
		return errNotYet
	})
	require.ErrorIs(t, err, interrupted)
}

func TestAWaitEndsAtOnceWhereWaitingWouldMendNothing(t *testing.T) {
	looks := 0
	err := Until(t.Context(), "it", Options{Limit: time.Minute, Every: time.Millisecond}, func(context.Context) error {
		looks++
		return Final(errNotYet)
	})
	require.ErrorIs(t, err, errNotYet)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, looks)
}
