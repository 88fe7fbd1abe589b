package cluster

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// turns are for commands that start in nodes. The nodes share this machine with whatever serves on them: a dozen starts at
// once, some of which cost a tenth of a second of a core, let every client of the API wait for a second. So half of the
// cores are left to what serves.
var (
	allTurns = int64((runtime.NumCPU() + 1) / 2)
	turns    = semaphore.NewWeighted(allTurns)
)

// turnLimit is how long a command keeps its turn: by then it has started, and if it goes on, it mostly waits.
var turnLimit = 300 * time.Millisecond

// takeTurn waits for a turn. The turn is given back by the function that it returns, or after turnLimit.
func takeTurn(ctx context.Context) (release func(), err error) {
	if err := turns.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	release = sync.OnceFunc(func() { turns.Release(1) })
	time.AfterFunc(turnLimit, release)
	return release, nil
}
