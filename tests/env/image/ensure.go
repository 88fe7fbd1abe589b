// Package image makes sure that the container images of the tests are there:
// the ones that are, or the registry's, or else images built from source.
package image

import (
	"context"
	"errors"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Refs are the images to use in tests.
type Refs struct {
	Node, Agnhost, Balancer, KonnectivityServer, KonnectivityAgent, Kubectl string
	// Python is empty on a machine that reaches registries.
	Python string
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
	// Prepare runs before the first build, and installs what images are built
	// with.
	Prepare func(context.Context) error
	// Module is the folder of the module that requires kind.
	Module string
}

// wanted is one image to make sure of.
type wanted struct {
	title string
	// refs are acceptable, best first. Only the last can be built: a reference
	// with a digest names one image in the world.
	refs  []string
	key   func() (string, error)
	build func(ctx context.Context, scratch, ref, key string) error
}

// local reports whether no registry has it: it is built where others are, and
// done without elsewhere.
func (w wanted) local() bool { return registry(w.refs[0]) == "localhost" }

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
		{&refs.Kubectl, wanted{"kubectl image", []string{kubectlImage(newest)}, e.helperKey, e.buildHelper}},
		{&refs.Python, wanted{"Python client image", []string{PythonImage}, e.pythonKey, e.buildPython}},
	} {
		if w.local() && !refs.Built {
			continue
		}
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
		if s == absent && !w.local() {
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
