package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// lock keeps two runs from building the same thing. The kernel gives the lock
// back when its holder ends, in whatever way.
func lock(ctx context.Context, dir string, log *report.Log) (unlock func(), err error) {
	fail := func(err error) error {
		return &report.Problem{Attempted: "to lock the cache " + dir, Remedy: "make the folder writable, or set KUBECOMM_CACHE to another", Err: err}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fail(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
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
			log.Say("another run is at work on %s: waiting for it", dir)
			waiting = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fail(ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
}
