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

// exclusive keeps two runs from changing the machine at once. A run that finds
// everything in place never needs it, and so never waits.
type exclusive struct {
	dir  string
	log  *report.Log
	file *os.File
}

// begin waits for other runs. The kernel gives the lock back when its holder
// ends, in whatever way.
func (e *exclusive) begin(ctx context.Context) error {
	if e.file != nil {
		return nil
	}
	fail := func(err error) error {
		return &report.Problem{Attempted: "to lock the cache " + e.dir, Remedy: "make the folder writable, or set KUBECOMM_CACHE to another", Err: err}
	}
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(filepath.Join(e.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fail(err)
	}
	for waiting := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			e.file = f
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return fail(err)
		}
		if !waiting {
			e.log.Say("another run is building in %s: waiting for it", e.dir)
			waiting = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return fail(ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (e *exclusive) end() {
	if e.file != nil {
		e.file.Close()
	}
}
