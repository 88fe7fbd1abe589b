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

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

// recipeLabel is on every image that this program builds, with the key of what
// it was built from.
const recipeLabel = "dev.kubecomm.env.recipe"

// state is what the engine knows of an image.
type state int

const (
	absent  state = iota
	foreign       // there, and not built here: it is used as it is
	current       // built here from what is there now
	stale         // built here from something else
)

func inspect(ctx context.Context, r command.Runner, ref, key string) (state, error) {
	label, err := command.Output(ctx, r, "docker", "image", "inspect", "--format", `{{index .Config.Labels "`+recipeLabel+`"}}`, ref)
	if err != nil {
		if strings.Contains(strings.ToLower(err.Error()), "no such image") {
			return absent, nil
		}
		return absent, err
	}
	switch label {
	case "", "<no value>":
		return foreign, nil
	case key:
		return current, nil
	}
	return stale, nil
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

// load gives images to the engine.
func load(ctx context.Context, r command.Runner, arch string, specs []Spec) error {
	return withArchive(arch, specs, func(archive io.Reader) error {
		_, err := r.Run(ctx, command.Cmd{Args: []string{"docker", "load", "--quiet"}, Stdin: archive})
		return err
	})
}

// withArchive streams an archive of specs to use.
func withArchive(arch string, specs []Spec, use func(io.Reader) error) error {
	return stream(func(w io.Writer) error { return WriteArchive(w, arch, specs) }, use)
}

// stream joins a writer to a reader and returns what went wrong with either.
func stream(write func(io.Writer) error, use func(io.Reader) error) error {
	out, in := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := write(in)
		in.CloseWithError(err)
		wrote <- err
	}()
	err := use(out)
	out.Close() // ends the writer where the reader gave up early
	if writeErr := <-wrote; writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		return errors.Join(writeErr, err)
	}
	return err
}
