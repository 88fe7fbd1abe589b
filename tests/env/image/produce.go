package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// produce builds an image, unless another run has done so while this one waited.
func (e *ensurer) produce(ctx context.Context, w wanted, ref, key string) (string, error) {
	if err := e.prepare(ctx); err != nil {
		return "", err
	}
	unlock, err := e.Cache.Lock(ctx, e.Log, lockName(ref))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, s, err := e.find(ctx, []string{ref}, key); err == nil && s == current {
		return "built by another run", nil
	}
	former, _ := command.Output(ctx, e.Runner, "docker", "image", "inspect", "--format", "{{.Id}}", ref)
	scratch, remove, err := e.Cache.Scratch(lockName(ref))
	if err != nil {
		return "", err
	}
	defer remove()
	if err := w.build(ctx, scratch, ref, key); err != nil {
		return "", err
	}
	if former != "" {
		// Clusters that still run from it keep it.
		_, _ = e.Runner.Run(ctx, command.Cmd{Args: []string{"docker", "image", "rm", former}})
	}
	return "built from source", nil
}

// lockName makes a reference fit for a file's name.
func lockName(ref string) string {
	return "image-" + strings.NewReplacer("/", "_", ":", "_", "@", "_").Replace(ref)
}

// prepare readies this run, and the machine, for builds.
func (e *ensurer) prepare(ctx context.Context) error {
	if e.prepared {
		return nil
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return &report.Problem{
			Attempted: "to build images from source, because no registry can be reached",
			Remedy:    "make the registry reachable, or load the image into the engine; building needs Debian or another Linux with debootstrap, and root",
			Err:       fmt.Errorf("this is %s, as user %d", runtime.GOOS, os.Geteuid()),
		}
	}
	if err := e.Prepare(ctx); err != nil {
		return err
	}
	e.prepared = true
	return nil
}

// build readies everything that images are put together from, once.
func (e *ensurer) build(ctx context.Context) (pieces, error) {
	if e.pieces != nil {
		return *e.pieces, nil
	}
	if e.version == (Version{}) {
		return pieces{}, &report.Problem{
			Attempted: "to build the node image " + e.Node + " from source, because it is not there and can not be pulled",
			Remedy:    "ask for a version that sources/ pins, as kindest/node:" + e.newest.String(),
			Err:       errors.New("its version is not one that is pinned here"),
		}
	}
	p, err := e.gather(ctx, e.version, e.newest)
	if err == nil {
		e.pieces = &p
	}
	return p, err
}

func (e *ensurer) buildNode(ctx context.Context, scratch, ref, key string) error {
	p, err := e.build(ctx)
	if err != nil {
		return err
	}
	return e.Log.Step(ctx, "put "+ref+" together", func(ctx context.Context) (string, error) {
		return "", e.Builder.buildNode(ctx, ref, key, e.version, p, e.kind.Dir, scratch)
	})
}

func (e *ensurer) buildHelper(ctx context.Context, scratch, ref, key string) error {
	p, err := e.build(ctx)
	if err != nil {
		return err
	}
	var spec Spec
	switch ref {
	case AgnhostImage:
		spec, err = agnhostSpec(p, scratch)
	case KonnectivityServerImage:
		spec, err = konnectivitySpec(p, scratch, "server", ref)
	case KonnectivityAgentImage:
		spec, err = konnectivitySpec(p, scratch, "agent", ref)
	case kubectlImage(e.newest):
		var kubernetes string
		if kubernetes, err = e.part(ctx, kubernetesPart(e.newest)); err == nil {
			spec, err = kubectlSpec(kubernetes, scratch, ref)
		}
	default:
		spec, err = balancerSpec(p, scratch, ref)
	}
	if err != nil {
		return err
	}
	spec.Labels = map[string]string{recipeLabel: key}
	return load(ctx, e.Runner, runtime.GOARCH, []Spec{spec})
}
