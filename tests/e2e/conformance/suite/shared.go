package suite

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// SharedLimit is for checks that may be the first to need what is shared: that it isn't ready is then told before they end.
const SharedLimit = ReadyLimit + time.Minute

// Shared is made once for all checks of a run, when the first needs it, within ReadyLimit. Nobody tries again what failed: half of it
// may be there, and every check would wait as long in vain.
type Shared[T any] struct {
	What  string // in errors
	Build func(context.Context, *Subject) (T, error)

	mu    sync.Mutex
	built bool
	value T
	err   error
}

// Get returns what was made, or why it couldn't be, to every check alike.
func (m *Shared[T]) Get(ctx context.Context, s *Subject) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.built {
		m.built = true
		limited, cancel := context.WithTimeoutCause(ctx, ReadyLimit, fmt.Errorf("it took longer than %s", ReadyLimit))
		defer cancel()
		if m.value, m.err = m.Build(limited, s); m.err != nil {
			m.err = fmt.Errorf("making %s: %w", m.What, m.err)
		}
	}
	return m.value, m.err
}

// With does something with what was made.
func (m *Shared[T]) With(do func(context.Context, *Subject, *Evidence, T) error) Action {
	return func(ctx context.Context, s *Subject, e *Evidence) error {
		made, err := m.Get(ctx, s)
		if err != nil {
			return err
		}
		return do(ctx, s, e, made)
	}
}
