// Package image makes sure that the container images of the tests are there:
// the ones that are, or the registry's, or else images built from source.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Refs are the images to use in tests.
type Refs struct {
	Node, Agnhost, Balancer, KonnectivityServer, KonnectivityAgent string
	// Built: at least one of them was built from source on this machine, which
	// means that it is cut off from registries.
	Built bool
}

// Options are what Ensure works with.
type Options struct {
	*Builder
	// Node is the node image that is asked for; "" is kind's default.
	Node string
	// ReadOnly forbids any change to the machine.
	ReadOnly bool
	// Prepare runs before the first build: it waits until no other run builds,
	// and installs what images are built with.
	Prepare func(context.Context) error
	// Module is the folder of the module that requires kind.
	Module string
}

// Constants of kind that its library does not export: its default node image
// and the image of its load balancer.
var (
	defaultNodePattern = regexp.MustCompile(`(?m)^const Image = "([^"]+)"`)
	defaultNodeFile    = "pkg/apis/config/defaults/image.go"
	balancerFile       = "pkg/cluster/internal/loadbalancer/const.go"
)

func constant(kindDir, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(kindDir, file))
	if err != nil {
		return "", err
	}
	m := defaultNodePattern.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("no image in kind's %s", file)
	}
	return string(m[1]), nil
}

// wanted is one image to make sure of.
type wanted struct {
	title string
	// refs are acceptable, best first. Only the last can be built: a reference
	// with a digest names one image in the world.
	refs  []string
	key   func() (string, error)
	build func(ctx context.Context, ref, key string) error
}

// Ensure makes sure of all images.
func Ensure(ctx context.Context, o Options) (Refs, error) {
	kind, err := downloadModule(ctx, o.Runner, o.Module, "sigs.k8s.io/kind")
	if err != nil {
		return Refs{}, &report.Problem{
			Attempted: "to find the source of the kind library, which names the images",
			Remedy:    "make sure that `go mod download sigs.k8s.io/kind` works",
			Err:       err,
		}
	}
	node, v, newest, err := o.nodeRefs(kind.Dir)
	if err != nil {
		return Refs{}, err
	}
	balancer, err := constant(kind.Dir, balancerFile)
	if err != nil {
		return Refs{}, err
	}
	e := &ensurer{Options: o, version: v, newest: newest, kind: kind, unreachable: map[string]error{}}
	var refs Refs
	var missing []error
	for _, w := range []struct {
		into *string
		wanted
	}{
		{&refs.Node, wanted{"node image", node, e.nodeKey, e.buildNode}},
		{&refs.Agnhost, wanted{"test workload image", []string{AgnhostImage}, e.helperKey, e.buildHelper}},
		{&refs.Balancer, wanted{"load balancer image", []string{balancer}, e.helperKey, e.buildHelper}},
		{&refs.KonnectivityServer, wanted{"Konnectivity server image", []string{KonnectivityServerImage}, e.helperKey, e.buildHelper}},
		{&refs.KonnectivityAgent, wanted{"Konnectivity agent image", []string{KonnectivityAgentImage}, e.helperKey, e.buildHelper}},
	} {
		ref, built, err := e.ensure(ctx, w.wanted)
		if err != nil && o.ReadOnly {
			missing = append(missing, err)
			continue
		}
		if err != nil {
			return refs, err
		}
		*w.into = ref
		refs.Built = refs.Built || built
	}
	return refs, errors.Join(missing...)
}

// nodeRefs returns the acceptable node images, and the version that a build
// would be of.
func (o Options) nodeRefs(kindDir string) (refs []string, v, newest Version, err error) {
	buildable, err := Buildable(o.Source)
	if err != nil {
		return nil, v, newest, err
	}
	newest = slices.MaxFunc(buildable, Version.Compare)
	preferred := o.Node
	if preferred == "" {
		if preferred, err = constant(kindDir, defaultNodeFile); err != nil {
			return nil, v, newest, err
		}
	}
	refs = []string{preferred}
	name, tag, digest := SplitRef(preferred)
	v, parseErr := ParseVersion(tag)
	for _, b := range buildable {
		switch {
		case o.Node == "" && b.Minor() == v.Minor():
			// kind's default may be an older patch level than the source here.
			if ref := name + ":" + b.String(); ref != preferred {
				refs = append(refs, ref)
			}
			return refs, b, newest, nil
		case b == v && digest != "":
			return append(refs, name+":"+tag), v, newest, nil
		case b == v:
			return refs, v, newest, nil
		}
	}
	_ = parseErr // an image that can not be built may still be there, or pulled
	return refs, Version{}, newest, nil
}

// ensurer remembers, across images, what was learned and built.
type ensurer struct {
	Options
	version, newest Version
	kind            module
	unreachable     map[string]error
	pieces          *pieces
	prepared        bool
}

// ensure returns the reference to use and whether that image was built here.
func (e *ensurer) ensure(ctx context.Context, w wanted) (ref string, built bool, err error) {
	own := w.refs[len(w.refs)-1]
	err = e.Log.Step(ctx, w.title+" "+own, func(ctx context.Context) (string, error) {
		key, err := w.key()
		if err != nil {
			return "", err
		}
		found, s, err := e.find(ctx, w.refs, key)
		if err != nil {
			return "", err
		}
		switch {
		case s == foreign:
			ref = found
			return "there", nil
		case s == current:
			ref, built = found, true
			return "built before", nil
		case e.ReadOnly:
			return "", &report.Problem{
				Attempted: "to find " + strings.Join(w.refs, " or "),
				Remedy:    "run this without KUBECOMM_ENV_INSTALL=0; it would pull the image, or build it from source where no registry can be reached",
				Err:       errors.New("the engine has no such image, or one that was built from an older recipe"),
			}
		}
		var refused error
		if s == absent {
			if ref, refused = e.pullAny(ctx, w.refs); refused == nil {
				return "pulled", nil
			}
			e.Log.Say("no registry gives %s: %v", own, refused)
		}
		ref, built = own, true
		note, err := e.produce(ctx, w, own, key)
		if err != nil {
			err = errors.Join(err, refused)
		}
		return note, err
	})
	return ref, built, err
}

// find returns the best of the references that the engine has, and its state.
func (e *ensurer) find(ctx context.Context, refs []string, key string) (string, state, error) {
	outdated := absent
	for _, r := range refs {
		s, err := inspect(ctx, e.Runner, r, key)
		if err != nil {
			return "", absent, err
		}
		if s == foreign || s == current {
			return r, s, nil
		}
		outdated = max(outdated, s)
	}
	return "", outdated, nil
}

// produce builds an image, unless another run has done so while this one waited.
func (e *ensurer) produce(ctx context.Context, w wanted, ref, key string) (string, error) {
	if err := e.prepare(ctx); err != nil {
		return "", err
	}
	if _, s, err := e.find(ctx, []string{ref}, key); err == nil && s == current {
		return "built by another run", nil
	}
	former, _ := command.Output(ctx, e.Runner, "docker", "image", "inspect", "--format", "{{.Id}}", ref)
	if err := w.build(ctx, ref, key); err != nil {
		return "", err
	}
	if former != "" {
		// Clusters that still run from it keep it.
		_, _ = e.Runner.Run(ctx, command.Cmd{Args: []string{"docker", "image", "rm", former}})
	}
	return "built from source", nil
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
	e.sweep(ctx)
	e.prepared = true
	return nil
}

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

func (e *ensurer) buildNode(ctx context.Context, ref, key string) error {
	p, err := e.build(ctx)
	if err != nil {
		return err
	}
	return e.Log.Step(ctx, "put "+ref+" together", func(ctx context.Context) (string, error) {
		return "", e.Builder.buildNode(ctx, ref, key, e.version, p, e.kind.Dir)
	})
}

func (e *ensurer) buildHelper(ctx context.Context, ref, key string) error {
	p, err := e.build(ctx)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(e.Cache.Dir, buildPrefix+"image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var spec Spec
	switch ref {
	case AgnhostImage:
		spec, err = agnhostSpec(p, scratch)
	case KonnectivityServerImage:
		spec, err = konnectivitySpec(p, scratch, "server", ref)
	case KonnectivityAgentImage:
		spec, err = konnectivitySpec(p, scratch, "agent", ref)
	default:
		spec, err = balancerSpec(p, scratch, ref)
	}
	if err != nil {
		return err
	}
	spec.Labels = map[string]string{recipeLabel: key}
	return load(ctx, e.Runner, runtime.GOARCH, []Spec{spec})
}
