package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// Progress says that a step begins, or (Done) that it has ended well.
type Progress struct {
	Cluster string
	Number  int // of the step, from 1
	Of      int
	Step    Step
	Done    bool
	Elapsed time.Duration // since the apply began
}

// Options are what Apply and Restore need beside the cluster.
type Options struct {
	Settings settings.Settings // ignored by Restore
	Now      func() time.Time
	Progress func(Progress) // may be nil
}

// StepError is a step that failed, after those before it were done.
type StepError struct {
	Cluster string
	Number  int
	Of      int
	Step    Step
	Err     error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("step %d of %d on cluster %s, node %s: %s: %v", e.Number, e.Of, e.Cluster, e.Step.Node, e.Step.Kind, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// apiLimit is how long an apiserver may take to answer before an apply begins. A cluster that was just created may need
// a moment.
const apiLimit = 30 * time.Second

// Apply brings the cluster to what is declared and returns how it stands then. It can be run again at any time, also
// after it failed half way: it plans from what it observes. Its errors wrap ErrNodeDown, ErrAPIUnavailable or are a
// *StepError.
func Apply(ctx context.Context, target Target, options Options) (Observation, error) {
	observed, err := observeReady(ctx, target, options)
	if err != nil {
		return Observation{}, err
	}
	if err := run(ctx, target, Plan(observed, options.Settings), options); err != nil {
		return Observation{}, err
	}
	observed, err = Observe(ctx, target, options.Now())
	if err != nil {
		return Observation{}, err
	}
	if left := Plan(observed, options.Settings); len(left) > 0 {
		return Observation{}, fmt.Errorf("cluster %s: every step succeeded, but it changed again meanwhile: %s",
			target.Name, describe(left))
	}
	return observed, nil
}

// Restore puts back what was there before the first Apply.
func Restore(ctx context.Context, target Target, options Options) error {
	observed, err := observeReady(ctx, target, options)
	if err != nil {
		return err
	}
	return run(ctx, target, PlanRestore(observed), options)
}

func observeReady(ctx context.Context, target Target, options Options) (Observation, error) {
	if err := target.check(); err != nil {
		return Observation{}, err
	}
	for _, node := range target.controlPlanes() {
		if err := settle(ctx, target, node); err != nil {
			return Observation{}, err
		}
		err := wait.Until(ctx, "the API", wait.Options{Limit: apiLimit, Every: time.Second}, func(ctx context.Context) error {
			return checkReady(ctx, target, realInstance(ctx, node))
		})
		if err != nil {
			return Observation{}, fmt.Errorf("%w: %w", ErrAPIUnavailable, err)
		}
	}
	return Observe(ctx, target, options.Now())
}

func run(ctx context.Context, target Target, steps []Step, options Options) error {
	report := options.Progress
	if report == nil {
		report = func(Progress) {}
	}
	start := time.Now()
	for i, step := range steps {
		progress := Progress{Cluster: target.Name, Number: i + 1, Of: len(steps), Step: step, Elapsed: time.Since(start)}
		report(progress)
		if err := runStep(ctx, target, step, options); err != nil {
			return &StepError{Cluster: target.Name, Number: i + 1, Of: len(steps), Step: step, Err: err}
		}
		progress.Done, progress.Elapsed = true, time.Since(start)
		report(progress)
	}
	return nil
}

func runStep(ctx context.Context, target Target, step Step, options Options) error {
	node, err := target.node(step.Node)
	if err != nil {
		return err
	}
	switch step.Kind {
	case CreateIssuer:
		return createIssuer(ctx, target, node, options.Now())
	case CopyIssuer:
		return copyIssuer(ctx, target, node)
	case IssueServing:
		return issueServing(ctx, target, node, options)
	case VerifyKubelets:
		return verifyKubelets(ctx, target, node)
	case UnverifyKubelets:
		return unverifyKubelets(ctx, target, node)
	case RestoreServing:
		return restoreServing(ctx, target, node)
	case RemoveFiles:
		return errors.Join(node.Remove(ctx, pkiFolder), node.Remove(ctx, stateFolder))
	}
	return fmt.Errorf("unknown kind of step %q", step.Kind)
}

func describe(steps []Step) string {
	lines := make([]string, len(steps))
	for i, step := range steps {
		lines[i] = step.String()
	}
	return strings.Join(lines, "; ")
}
