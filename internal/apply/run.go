package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// Event is what happens to a step, or to an apply as a whole.
type Event string

// The events. The last two come before the first step.
const (
	Begins  Event = "begins" // a phase of the step
	Done    Event = "done"
	Failed  Event = "failed"
	Undoing Event = "undoing"
	Undone  Event = "undone"
	Waiting Event = "waiting for the lock"
	Resumes Event = "finishing what was interrupted"
)

// Progress says how an apply goes on.
type Progress struct {
	Cluster string
	Event   Event
	Number  int // of the step, from 1; 0 where the event is none of a step's
	Of      int
	Step    Step
	Phase   string        // that begins
	Note    string        // who holds the lock, or what was interrupted
	Elapsed time.Duration // since the apply began
}

// Options are what Apply and Restore need beside the cluster.
type Options struct {
	Settings  settings.Settings // Restore heeds KubeletRestarts alone
	Now       func() time.Time
	Progress  func(Progress) // may be nil; called by one goroutine at a time
	LockLimit time.Duration  // how long to wait for another apply to end; 0 means 5 minutes
}

// StepError is a step that failed, after those before it were done.
type StepError struct {
	Cluster string
	Number  int
	Of      int
	Step    Step
	Phase   string
	Err     error
	Undone  []Step // in the order in which they were undone; the failed step among them
	UndoErr error  // why undoing failed, if it did: the next apply or restore then finishes
	Kept    bool   // nothing was undone, because the step and those after it can only be finished
}

func (e *StepError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "step %d of %d on cluster %s, node %s: %s: %s: %v",
		e.Number, e.Of, e.Cluster, e.Step.Node, e.Step.Kind, e.Phase, e.Err)
	for _, step := range e.Undone {
		fmt.Fprintf(&text, "\nUndone: node %s: %s", step.Node, step.Kind)
	}
	if e.UndoErr != nil {
		fmt.Fprintf(&text, "\nUndoing failed: %v", e.UndoErr)
	}
	return text.String()
}

func (e *StepError) Unwrap() []error { return []error{e.Err, e.UndoErr} }

// apiLimit is how long an apiserver may take to answer before an apply begins. A cluster that was just created may need
// a moment.
const apiLimit = 30 * time.Second

// undoLimit bounds the way back, which must not be cut short by what ended the way there.
const undoLimit = 10 * time.Minute

// Apply brings the cluster to what is declared and returns how it stands then. It can be run again at any time, also
// after it was killed: it first finishes or undoes what is half done, and plans from what it observes then. A step that
// fails is undone, and so are all before it. Its errors wrap ErrNodeDown, ErrAPIUnavailable, or are a *LockedError or a
// *StepError.
func Apply(ctx context.Context, target Target, options Options) (Observation, error) {
	o, err := begin(ctx, target, "an apply", options)
	if err != nil {
		return Observation{}, err
	}
	defer o.release()
	observed, err := o.observeReady(ctx)
	if err != nil {
		return Observation{}, err
	}
	if err := CheckRole(target.Name, observed, options.Settings); err != nil {
		return Observation{}, err
	}
	if err := CheckProgram(&observed, options.Settings); err != nil {
		return Observation{}, err
	}
	if err := CheckTunnel(observed, options.Settings); err != nil {
		return Observation{}, fmt.Errorf("cluster %s: %w", target.Name, err)
	}
	if problems := CheckClientCAs(target.Name, observed, options.Settings); len(problems) > 0 {
		return Observation{}, problems[0]
	}
	steps := Plan(observed, options.Settings)
	if len(steps) == 0 {
		if o.resumed { // what was interrupted may have had nothing left to do but to clear away
			err = o.finish(ctx)
		}
		return observed, err
	}
	if err := o.run(ctx, steps); err != nil {
		return Observation{}, err
	}
	if observed, err = Observe(ctx, target, options.Now()); err != nil {
		return Observation{}, err
	}
	if err := o.finish(ctx); err != nil {
		return Observation{}, err
	}
	if left := Plan(observed, options.Settings); len(left) > 0 {
		return Observation{}, fmt.Errorf("cluster %s: every step succeeded, but it changed again meanwhile: %s",
			target.Name, describe(left))
	}
	return observed, nil
}

// Restore puts back what was there before the first Apply. Its errors are Apply's.
func Restore(ctx context.Context, target Target, options Options) error {
	o, err := begin(ctx, target, "a restore", options)
	if err != nil {
		return err
	}
	defer o.release()
	o.restore = true
	observed, err := o.observeReady(ctx)
	if err != nil {
		return err
	}
	if err := o.run(ctx, PlanRestore(observed)); err != nil {
		return err
	}
	return o.finish(ctx)
}

// operation is an Apply or a Restore that has the cluster's lock.
type operation struct {
	target  Target
	options Options
	restore bool
	name    string
	lock    *lock
	// signature is how the journal names it.
	signature string
	start     time.Time
	steps     []Step
	resumed   bool // it came after one that was interrupted

	observed Observation // that the steps were planned from

	mu     sync.Mutex
	works  []work   // of the steps that were begun
	phases []string // that each step has reached
}

func begin(ctx context.Context, target Target, name string, options Options) (*operation, error) {
	if err := target.check(); err != nil {
		return nil, err
	}
	o := &operation{target: target, options: options, name: name, start: time.Now()}
	var err error
	o.lock, err = takeLock(ctx, target, name, options, func(holder string) {
		o.report(Progress{Event: Waiting, Note: holder})
	})
	return o, err
}

func (o *operation) report(p Progress) {
	if o.options.Progress == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.Cluster, p.Of, p.Elapsed = o.target.Name, len(o.steps), time.Since(o.start)
	o.options.Progress(p)
}

// release gives up the lock that is held at the end, which need not be the one of the beginning.
func (o *operation) release() { o.lock.release() }

// observeReady ends what an earlier apply left half done, waits for the API and observes.
func (o *operation) observeReady(ctx context.Context) (Observation, error) {
	interrupted := parseJournal(o.lock.journal)
	if o.resumed = interrupted != nil; o.resumed {
		o.report(Progress{Event: Resumes, Note: interrupted.String()})
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.forget(groupCtx) })
	for _, node := range o.target.controlPlanes() {
		group.Go(func() error {
			if interrupted != nil {
				if err := settleStaticPods(groupCtx, node); err != nil {
					return err
				}
			}
			return settle(groupCtx, o.target, node)
		})
	}
	if err := group.Wait(); err != nil {
		return Observation{}, err
	}
	var observed Observation
	var early error
	group, groupCtx = errgroup.WithContext(ctx)
	group.Go(func() error {
		observed, early = Observe(groupCtx, o.target, o.options.Now())
		return nil
	})
	for _, node := range o.target.controlPlanes() {
		group.Go(func() error { return o.waitServes(groupCtx, node) })
	}
	err := group.Wait()
	if err == nil && (early != nil || observed.Joins.Problem != nil) { // perhaps because an apiserver was not there yet
		observed, err = Observe(ctx, o.target, o.options.Now())
	}
	if err == nil && observed.Joins.Problem != nil {
		err = fmt.Errorf("%w: %w", ErrAPIUnavailable, observed.Joins.Problem)
	}
	if err == nil && interrupted != nil {
		err = o.lock.endJournal()
	}
	o.observed = observed
	return observed, err
}

// waitServes waits for the API of a control plane.
func (o *operation) waitServes(ctx context.Context, node Node) error {
	options := wait.Options{Limit: apiLimit, Every: time.Second}
	err := wait.Until(ctx, "the API", options, func(ctx context.Context) error {
		return checkReady(ctx, o.target, realInstance(ctx, node))
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAPIUnavailable, err)
	}
	return nil
}

// forget removes what was kept to undo an apply.
func (o *operation) forget(ctx context.Context) error {
	script := `rm -rf -- "$1"; for folder; do [ ! -d "$folder" ] || find "$folder" -depth -type d -empty -delete; done`
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range o.target.Nodes {
		group.Go(func() error {
			args := []string{"sh", "-c", script, "sh", string(checkpoint), stateFolder, pkiFolder}
			_, err := node.Run(ctx, cluster.Command{Args: args})
			return err
		})
	}
	return group.Wait()
}

// run does the steps, or undoes all that it did.
func (o *operation) run(ctx context.Context, steps []Step) error {
	o.steps, o.works, o.phases = steps, make([]work, len(steps)), make([]string, len(steps))
	lines := make([]string, len(steps))
	for i, step := range steps {
		lines[i] = fmt.Sprintf("node %s: %s", step.Node, step.Kind)
	}
	o.signature = holder(o.name)
	if err := o.lock.record(entry{Operation: o.signature, Steps: lines}); err != nil {
		return err
	}
	for first := 0; first < len(steps); {
		last := first
		for last+1 < len(steps) && steps[last+1].Kind == steps[first].Kind {
			last++
		}
		if failure := o.runGroup(ctx, first, last); failure != nil {
			return o.undo(ctx, failure)
		}
		first = last + 1
	}
	return nil
}

// finish makes sure that nothing of an operation goes on, and forgets it.
func (o *operation) finish(ctx context.Context) error {
	if err := waitEnded(ctx, o.target); err != nil {
		return err
	}
	if err := o.removeUnnamed(ctx); err != nil {
		return err
	}
	if err := o.forget(ctx); err != nil { // and with it folders that are empty now
		return err
	}
	return o.lock.endJournal()
}

// removeUnnamed removes the files from nodes that settings and CAs became at some time, and no manifest or configuration names
// any more.
func (o *operation) removeUnnamed(ctx context.Context) error {
	script := `by=$1 folder=$2; shift 2
[ -d "$folder" ] || exit 0
for name; do
  find "$folder" -maxdepth 1 -type f -name "$name-*" | while read -r file; do
    grep --quiet --fixed-strings -e "$file" "$by" || rm -f -- "$file"
  done
done`
	group, ctx := errgroup.WithContext(ctx)
	remove := func(node Node, by string, names []string) {
		group.Go(func() error {
			args := append([]string{"sh", "-c", script, "sh", by, pkiFolder}, names...)
			_, err := node.Run(ctx, cluster.Command{Args: args})
			return err
		})
	}
	for _, node := range o.target.Nodes {
		remove(node, kubelet.ConfigFile, settings.KubeletDocumentNames())
	}
	for _, node := range o.target.controlPlanes() {
		remove(node, manifestFile, append(settings.DocumentNames(), bundleName))
	}
	return group.Wait()
}

// runGroup does steps of the same kind, from first to last, as far as possible side by side.
func (o *operation) runGroup(ctx context.Context, first, last int) *StepError {
	atOnce := 1
	switch kinds[o.steps[first].Kind].parallel {
	case sideBySide:
		atOnce = last - first + 1
	case firstAlone:
		if failure := o.runStep(ctx, first); failure != nil {
			return failure
		}
		first++
		atOnce = max(1, o.options.Settings.KubeletRestarts)
	}
	failures := make([]*StepError, last+1)
	var failed atomic.Bool
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := first; i <= last; i++ {
		// Those that run come to their end, lest they be undone half way; those that wait would be for nothing.
		group.Go(func() error {
			if failed.Load() {
				return nil
			}
			if failures[i] = o.runStep(ctx, i); failures[i] != nil {
				failed.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait()
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

func (o *operation) runStep(ctx context.Context, i int) *StepError {
	step := o.steps[i]
	node, err := o.target.node(step.Node)
	if err == nil {
		j := job{target: o.target, node: node, options: o.options, restore: o.restore}
		for _, observed := range o.observed.Nodes {
			if observed.Name == step.Node {
				j.observed = observed
			}
		}
		o.works[i] = kinds[step.Kind].work(j)
		for _, phase := range o.works[i].phases() {
			if err = o.enter(ctx, i, phase.name); err == nil {
				err = phase.do(ctx)
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		o.report(Progress{Event: Failed, Number: i + 1, Step: step, Phase: o.phases[i]})
		return &StepError{
			Cluster: o.target.Name, Number: i + 1, Of: len(o.steps), Step: step, Phase: o.phases[i], Err: err,
		}
	}
	o.report(Progress{Event: Done, Number: i + 1, Step: step})
	return nil
}

// enter says that a phase begins: first to the journal, then to whoever watches.
func (o *operation) enter(ctx context.Context, i int, name string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	o.phases[i] = name
	if err := o.lock.record(entry{Step: i + 1, Phase: name}); err != nil {
		return err
	}
	o.report(Progress{Event: Begins, Number: i + 1, Step: o.steps[i], Phase: name})
	return nil
}

// undo goes back over the steps that were begun. What can't be undone can only be finished, by the next attempt.
func (o *operation) undo(ctx context.Context, failure *StepError) error {
	if failure.Kept = failure.Step.Kind.Undone() == ""; failure.Kept {
		return failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if err := o.keepLock(ctx); err != nil {
		failure.UndoErr = err
		return failure
	}
	var problems []string
	for i, work := range slices.Backward(o.works) {
		if work == nil {
			continue
		}
		step := o.steps[i]
		o.report(Progress{Event: Undoing, Number: i + 1, Step: step})
		_ = o.lock.record(entry{Step: i + 1, Phase: phaseUndoing})
		if err := work.undo(ctx); err != nil {
			problems = append(problems, fmt.Sprintf("node %s: %s: %v", step.Node, step.Kind, err))
			continue
		}
		_ = o.lock.record(entry{Step: i + 1, Phase: phaseUndone})
		o.report(Progress{Event: Undone, Number: i + 1, Step: step})
		failure.Undone = append(failure.Undone, step)
	}
	if len(problems) == 0 {
		if err := o.finish(ctx); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		failure.UndoErr = errors.New(strings.Join(problems, "\n"))
	}
	return failure
}

// keepLock makes sure that the lock is still held, and takes it again after the engine was away. Without it, somebody
// else may be at work already.
func (o *operation) keepLock(ctx context.Context) error {
	if err := o.lock.record(entry{Phase: phaseUndoing}); !errors.Is(err, errLockLost) {
		return nil // that the journal can't be written is no reason to leave things half done
	}
	o.lock.release()
	what := fmt.Sprintf("the nodes of cluster %s, to undo what was done", o.target.Name)
	return wait.Until(ctx, what, wait.Options{Limit: o.options.lockLimit(), Every: time.Second}, func(ctx context.Context) error {
		again, err := takeLock(ctx, o.target, o.name, o.options, func(string) {})
		if _, locked := errors.AsType[*LockedError](err); locked {
			return wait.Final(err)
		}
		if err != nil {
			return err
		}
		o.lock = again
		if left := parseJournal(again.journal); left == nil || left.Operation != o.signature {
			return wait.Final(errTakenOver)
		}
		return nil
	})
}

// errTakenOver says that another apply went on while this one had lost its lock, so that what it did is not there to undo.
var errTakenOver = errors.New("another apply or restore ended what this one had begun, while its nodes could not be reached")
