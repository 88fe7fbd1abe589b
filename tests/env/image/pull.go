package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// pullAny pulls the first reference that a registry gives.
func (e *ensurer) pullAny(ctx context.Context, refs []string) (string, error) {
	var failed error
	for _, r := range refs {
		err := e.pull(ctx, r)
		if err == nil {
			return r, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return "", failed
}

// pull asks each registry once: one that can not be reached for an image is not
// asked for the next.
func (e *ensurer) pull(ctx context.Context, ref string) error {
	host := registry(ref)
	if err := e.unreachable[host]; err != nil {
		return errors.New("its registry could not be reached before")
	}
	err := pull(ctx, ref)
	if err != nil && !strings.Contains(err.Error(), "manifest") {
		e.unreachable[host] = err
	}
	return err
}

// registry returns the registry of a reference: the first part of the name
// where that looks like a host (distribution reference/normalize.go).
func registry(ref string) string {
	host, _, ok := strings.Cut(ref, "/")
	if !ok || (!strings.ContainsAny(host, ".:") && host != "localhost") {
		return "docker.io"
	}
	return host
}

// Limits for a registry: how long it may take to say anything, and how long it
// may then be silent. Docker itself waits minutes for one that does not answer.
const (
	firstWordLimit = 20 * time.Second
	silenceLimit   = 2 * time.Minute
)

// pull pulls ref, and gives up on a registry that can not be reached.
func pull(ctx context.Context, ref string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, "docker", "pull", ref)
	cmd.WaitDelay = 5 * time.Second
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return err
	}
	var last atomic.Int64 // when the registry was heard of last
	var heard atomic.Bool
	last.Store(time.Now().UnixNano())
	go func() {
		for ticker := time.Tick(time.Second); ; {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker:
				limit := firstWordLimit
				if heard.Load() {
					limit = silenceLimit
				}
				if now.Sub(time.Unix(0, last.Load())) > limit {
					cancel(fmt.Errorf("the registry said nothing for %s", limit))
				}
			}
		}
	}()
	var words strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			last.Store(time.Now().UnixNano())
			heard.Store(true)
			words.WriteString(lines.Text() + "\n")
		}
	}()
	err := cmd.Wait()
	in.Close()
	<-done
	if err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("docker pull %s: %w: %s", ref, err, lastLine(words.String())))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}
