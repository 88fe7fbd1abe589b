package image

import (
	"context"
	"errors"
	"io"
	"strings"

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
