// Package wait waits for conditions: with a limit, and with the last reason why the condition did not hold.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Options bound a wait.
type Options struct {
	Limit time.Duration // give up after this long
	Every time.Duration // time between two looks; 0 means 250 ms
}

// Final marks an error that no waiting will mend, so that Until gives up at once.
func Final(err error) error { return finalError{err} }

type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Until looks at a condition until it returns nil. When the limit or the context ends first, the error says what was
// waited for and holds the condition's last error, and context.DeadlineExceeded or the context's cause.
func Until(ctx context.Context, what string, options Options, condition func(context.Context) error) error {
	if options.Every == 0 {
		options.Every = 250 * time.Millisecond
	}
	start := time.Now()
	last := errors.New("the condition was never looked at")
	err := wait.PollUntilContextTimeout(ctx, options.Every, options.Limit, true, func(ctx context.Context) (bool, error) {
		err := condition(ctx)
		// A look that the limit cut short says less than the one before it.
		if err == nil || ctx.Err() == nil {
			last = err
		}
		if final, ok := errors.AsType[finalError](err); ok {
			return false, final
		}
		return err == nil, nil
	})
	if err == nil {
		return nil
	}
	if final, ok := errors.AsType[finalError](err); ok {
		return fmt.Errorf("waiting for %s: %w", what, final.error)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("waited %s for %s: %w: %w", time.Since(start).Round(time.Second), what, err, last)
}
