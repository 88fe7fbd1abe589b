package mutation

import (
	"context"
	"crypto/rand"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
)

// conformance is the released program, as make builds it.
const conformance = "../../bin/kubecomm-conformance"

const (
	createLimit = 5 * time.Minute
	deleteLimit = 2 * time.Minute
	undoLimit   = 6 * time.Minute  // pods get a certificate minutes after it was put back
	caseLimit   = 20 * time.Minute // the slowest waits in vain for as long as a token is good for
)

// slowest is what a run leaves out that isn't about it.
const slowest = "kubelet-paths/thousand-execs"

// sabotage is what is done to a cluster, or to the way to it.
type sabotage struct {
	name  string
	fails []string // patterns of the ids of exactly the checks that must fail

	do     func(ctx context.Context, l *lab) (undo undo, err error)
	front  wrong                                   // what a front does wrong that the run asks the API through
	names  []string                                // in the front's certificate; those of the apiserver's if empty
	during func(ctx context.Context, l *lab) error // done once the run has begun

	flags       []string // of the run, besides those of every run
	only        []string // ids, where the rest of the run would take too long
	everything  bool     // of the run's checks, also the slowest
	destructive bool
}

type undo = func(context.Context) error

// lab is the cluster that is sabotaged.
type lab struct {
	cluster *cluster.Cluster
	admin   *rest.Config
	client  kubernetes.Interface
	token   string   // of an account that may do everything
	images  []string // flags that name images
	passing map[string]bool
	failed  map[string]bool // by one sabotage or another
}

func newLab(ctx context.Context, t *testing.T) *lab {
	t.Helper()
	l := &lab{passing: map[string]bool{}, failed: map[string]bool{}}
	if name := os.Getenv("KUBECOMM_MUTATION_CLUSTER"); name != "" {
		var err error
		l.cluster, err = cluster.NewEngine().Open(ctx, name)
		require.NoError(t, err)
	} else {
		l.create(ctx, t)
	}
	var err error
	l.images, err = program.LoadClients(ctx, l.cluster, os.Getenv)
	require.NoError(t, err)
	l.admin, err = l.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	l.client, err = kubernetes.NewForConfig(l.admin)
	require.NoError(t, err)
	l.token = l.newAdmin(ctx, t)
	outcome := l.run(ctx, t, sabotage{everything: true, destructive: true})
	require.Zero(t, outcome.Code, outcome.Output)
	for id, verdict := range outcome.Verdicts {
		l.passing[id] = verdict == "passed"
	}
	return l
}

func (l *lab) create(ctx context.Context, t *testing.T) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	engine, name := cluster.NewEngine(), "kubecomm-mutation-"+strings.ToLower(rand.Text()[:6])
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
		defer cancel()
		// Asked while nodes still run: whether any packet for a pod or service could leave the machine.
		output, err := exec.CommandContext(ctx, "go", "run", "../env", "check", name).CombinedOutput()
		assert.NoError(t, err, "%s", output)
		assert.NoError(t, engine.Delete(ctx, name, ""))
	})
	var err error
	l.cluster, err = engine.Create(limited, cluster.Spec{
		Name: name, NodeImage: os.Getenv(nodeImageVariable),
		Nodes: []cluster.NodeSpec{{Role: cluster.ControlPlane}, {Role: cluster.Worker}},
	}, cluster.CreateOptions{WaitForReady: true})
	require.NoError(t, err)
	require.NoError(t, l.declare(limited, nil))
}

// declare applies the profile baseline, but for some settings.
func (l *lab) declare(ctx context.Context, otherwise map[string]settings.Value) error {
	_, err := apply.Apply(ctx, apply.On(l.cluster), apply.Options{
		Settings: settings.Of(settings.Effective(settings.Baseline, otherwise)), Now: time.Now,
	})
	return err
}

func (l *lab) run(ctx context.Context, t *testing.T, s sabotage) program.Outcome {
	t.Helper()
	flags := append([]string{"-kind", l.cluster.Name(), "-profile", "baseline"}, slices.Concat(l.images, s.flags)...)
	if s.destructive {
		flags = append(flags, "-destructive")
	}
	if !s.everything {
		flags = append(flags, "-skip-labels", "id="+slowest)
	}
	if s.front != nil {
		flags = append(flags, "-kubeconfig", l.newFront(t, s))
	}
	if len(s.only) > 0 {
		flags = append(flags, "-labels", "id="+strings.Join(s.only, ",id="))
	}
	ended := make(chan error, 1)
	running, end := context.WithCancel(ctx)
	go func() {
		if s.during == nil {
			ended <- nil
			return
		}
		ended <- s.during(running, l)
	}()
	outcome, err := program.Run(ctx, conformance, flags...)
	end()
	require.NoError(t, err)
	require.NoError(t, <-ended)
	return outcome
}

// requirePassing demands what passed before anything was done to the cluster.
func (l *lab) requirePassing(ctx context.Context, t *testing.T) {
	t.Helper()
	outcome := l.run(ctx, t, sabotage{everything: true, destructive: true})
	assert.Zero(t, outcome.Code, outcome.Output)
	for id, passed := range l.passing {
		if passed {
			assert.Equal(t, "passed", outcome.Verdicts[id], "%s: %s", id, outcome.Reasons[id])
		}
	}
}

func (l *lab) prove(ctx context.Context, t *testing.T, s sabotage) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	if s.do != nil {
		undo, err := s.do(limited, l)
		t.Cleanup(func() {
			if undo == nil {
				return
			}
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
			defer cancel()
			assert.NoError(t, undo(limited), "the cluster can't be repaired")
		})
		require.NoError(t, err)
	}
	l.compare(t, s, l.run(limited, t, s))
}

func (l *lab) compare(t *testing.T, s sabotage, outcome program.Outcome) {
	t.Helper()
	possible := func(id string) bool {
		return matches(s.fails, id) && (l.passing[id] || outcome.Verdicts[id] != "skipped")
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(outcome.Verdicts)), possible) {
		t.Skip("this machine lacks what the check needs")
	}
	assert.Equal(t, 1, outcome.Code)
	for id, verdict := range outcome.Verdicts {
		must := matches(s.fails, id)
		switch {
		case verdict == "failed" && must:
			l.failed[id] = true
			t.Logf("%s: %s", id, outcome.Reasons[id])
		case verdict == "failed":
			t.Errorf("%s is no concern of the sabotage, and failed: %s", id, outcome.Reasons[id])
		case must && (verdict == "passed" || l.passing[id]):
			t.Errorf("%s %s, and must fail: %s", id, verdict, outcome.Reasons[id])
		case verdict == "skipped" && l.passing[id] && (s.destructive || !destructive(id)):
			t.Errorf("%s was skipped: %s", id, outcome.Reasons[id])
		}
	}
}

func matches(patterns []string, id string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, id)
		if err != nil {
			panic(err) // a pattern of this package's
		}
		return matched
	})
}
