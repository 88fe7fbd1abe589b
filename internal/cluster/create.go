package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	kind "sigs.k8s.io/kind/pkg/cluster"
)

// cleanUpLimit bounds how long a creation that failed or was cancelled keeps its caller waiting for the clean-up.
const cleanUpLimit = 30 * time.Second

// CreateOptions is how a cluster is created, besides what it is.
type CreateOptions struct {
	// KubeconfigPath is a file that gets a context for the cluster and has it made current, as the kind command does.
	// Empty: no kubeconfig of the user's is touched.
	KubeconfigPath string
	// WaitForReady makes the creation last until every node is Ready, and fail if that takes too long.
	WaitForReady bool
	// KeepOnFailure leaves the nodes of a creation that failed, for a look at them.
	KeepOnFailure bool
	// Progress is told of each step, one at a time. May be nil.
	Progress func(Progress)
}

// Create creates a cluster. The context's deadline is the time that it may take. Its errors are an *InvalidSpecError,
// one that wraps ErrEngineUnavailable or ErrExists, or a *CreateError; only after the last may anything be left behind,
// and it says so.
func (e *Engine) Create(ctx context.Context, spec Spec, opts CreateOptions) (*Cluster, error) {
	if problems := spec.Problems(); len(problems) > 0 {
		return nil, &InvalidSpecError{problems}
	}
	// Each would take the other's nodes for its own, and clean them up.
	if _, taken := e.creating.LoadOrStore(spec.Name, true); taken {
		return nil, fmt.Errorf("%w: %s (another resource is creating it at this moment)", ErrExists, spec.Name)
	}
	defer e.creating.Delete(spec.Name)
	recorder := newRecorder(spec.Name, opts.Progress, time.Now)
	provider, names, err := e.connect(ctx, kind.ProviderWithLogger(recorder))
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, spec.Name) {
		return nil, fmt.Errorf("%w: %s", ErrExists, spec.Name)
	}
	c := &creation{engine: e, spec: spec, opts: opts, recorder: recorder, provider: provider}
	if err := c.checkImages(ctx); err != nil {
		return nil, err
	}
	cluster, err := c.run(ctx)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return cluster, nil
}

// creation is a cluster's creation under way.
type creation struct {
	engine   *Engine
	spec     Spec
	opts     CreateOptions
	recorder *recorder
	provider *kind.Provider
	ended    chan struct{} // closed when kind has returned, nil before it is called
}

// checkImages judges the patches by what is in the node images, where the images' tags told nothing or something else.
func (c *creation) checkImages(ctx context.Context) error {
	facts, err := c.engine.specFacts(ctx, c.spec)
	if err != nil {
		return &CreateError{Cluster: c.spec.Name, Step: "Looking into the node image", Elapsed: c.recorder.elapsed(), Err: err}
	}
	if problems := c.spec.problems(facts); len(problems) > 0 {
		return &InvalidSpecError{problems}
	}
	return nil
}

func (c *creation) run(ctx context.Context) (*Cluster, error) {
	if err := c.runKind(ctx); err != nil {
		return nil, err
	}
	cluster, err := c.engine.Open(ctx, c.spec.Name)
	if err != nil {
		return nil, err
	}
	if c.opts.WaitForReady {
		wait := func() error { return cluster.WaitReady(ctx) }
		if err := c.recorder.during("Waiting for every node to be Ready", wait); err != nil {
			return nil, err
		}
	}
	if c.opts.KubeconfigPath != "" {
		write := func() error { return cluster.WriteKubeconfig(ctx, c.opts.KubeconfigPath) }
		if err := c.recorder.during("Writing the kubeconfig", write); err != nil {
			return nil, err
		}
	}
	return cluster, nil
}

// runKind has kind create the cluster. kind takes no context: when ours ends, kind goes on by itself, until failed takes
// the nodes away under it.
func (c *creation) runKind(ctx context.Context) error {
	// Without a file of its own, kind writes into the user's kubeconfig.
	folder, err := os.MkdirTemp("", "kubecomm-")
	if err != nil {
		return err
	}
	c.ended = make(chan struct{})
	var kindError error
	go func() {
		defer close(c.ended)
		defer os.RemoveAll(folder)
		kindError = c.provider.Create(c.spec.Name,
			kind.CreateWithV1Alpha4Config(c.spec.config()),
			kind.CreateWithKubeconfigPath(filepath.Join(folder, "kubeconfig")),
			// A failed creation is cleaned up here, after a look at why it failed.
			kind.CreateWithRetain(true),
		)
	}()
	select {
	case <-c.ended:
		return kindError
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failed explains why a creation failed, and cleans up after it.
func (c *creation) failed(ctx context.Context, err error) error {
	step, lines := c.recorder.close()
	if foreign(err) {
		return fmt.Errorf("%w: %s (it appeared while this one was about to be created)", ErrExists, c.spec.Name)
	}
	failure := &CreateError{Cluster: c.spec.Name, Step: step, Elapsed: c.recorder.elapsed(), Err: err}
	if c.ended == nil {
		return failure
	}
	cancelled := errors.Is(ctx.Err(), context.Canceled)
	// What follows has its own limits, and is needed most when the context has ended.
	ctx = context.WithoutCancel(ctx)
	if !cancelled {
		failure.Evidence = commandEvidence(err)
		if len(failure.Evidence) == 0 {
			failure.Evidence = lines
		}
		failure.Evidence = append(failure.Evidence, nodeEvidence(ctx, c.provider, c.spec.Name)...)
	}
	if c.opts.KeepOnFailure {
		failure.Remains = c.remains(ctx)
		return failure
	}
	failure.CleanUp = c.cleanUp(ctx)
	failure.Remains = failure.CleanUp != nil
	return failure
}

func (c *creation) remains(ctx context.Context) bool {
	_, err := c.engine.Open(ctx, c.spec.Name)
	return !errors.Is(err, ErrNotFound)
}

// cleanUp deletes nodes until kind has noticed that it cannot go on, and then those that it made meanwhile. A kind that
// doesn't notice in time, because it is pulling an image, is left to a goroutine: if this process ends first, so does
// kind, and then it makes no nodes.
func (c *creation) cleanUp(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, cleanUpLimit)
	defer cancel()
	pause := time.NewTicker(time.Second)
	defer pause.Stop()
	for {
		select {
		case <-c.ended:
			return c.engine.Delete(limited, c.spec.Name, "")
		default:
		}
		if err := c.engine.Delete(limited, c.spec.Name, ""); err != nil {
			return err
		}
		select {
		case <-c.ended:
		case <-pause.C:
		case <-limited.Done():
			go func() {
				<-c.ended
				_ = c.engine.Delete(ctx, c.spec.Name, "")
			}()
			return errors.New("kind has not stopped yet; its nodes will be deleted when it does, if Terraform still runs then")
		}
	}
}
