package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Lock keeps two runs from making the same thing at once; name says what. A run
// that finds everything in place takes no lock, and one that builds holds only
// those of what it is building, so that nobody waits for more than they need.
// The kernel gives a lock back when its holder ends, in whatever way.
func (c Cache) Lock(ctx context.Context, log *report.Log, name string) (unlock func(), err error) {
	fail := func(err error) error {
		return &report.Problem{Attempted: "to lock " + name + " in the cache " + c.Dir, Remedy: "make the folder writable, or set KUBECOMM_CACHE to another", Err: err}
	}
	dir := filepath.Join(c.Dir, ".locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fail(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fail(err)
	}
	for waiting := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fail(err)
		}
		if !waiting {
			log.Say("another run is making %s: waiting for it", name)
			waiting = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fail(ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
