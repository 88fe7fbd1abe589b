package faults

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/stock"
)

const nodeImageVariable = "KUBECOMM_NODE_IMAGE"

const (
	createLimit = 5 * time.Minute
	deleteLimit = 2 * time.Minute
	// restoreLimit is short: a new cluster takes a minute.
	restoreLimit = 2 * time.Minute
	caseLimit    = 15 * time.Minute // of the slowest case, several applies that wait in vain, beside other clusters
)

// suite has the cluster that all cases share, one after the other. Where a case fails and the cluster can't be restored,
// the next gets a new one of the same name.
type suite struct {
	ctx           context.Context // wholeRun; every test takes its own from it
	choice        choice
	engine        *cluster.Engine
	name          string
	controlPlanes int              // that its cluster has, beside one worker
	cluster       *cluster.Cluster // nil while there is none
	stock         stock.Files
}

func newSuite(t *testing.T, controlPlanes int) *suite {
	t.Helper()
	if os.Getenv(nodeImageVariable) == "" {
		t.Skipf("%s is not set; make faults sets it and runs this on a kind cluster of its own", nodeImageVariable)
	}
	chosen, err := parseChoice(os.Getenv(choiceVariable), time.Now())
	require.NoError(t, err)
	// In a log, this is what a day's run is repeated by.
	t.Log(chosen)
	require.NoError(t, wholeRun.Err(), "the run was interrupted")
	s := &suite{
		ctx: wholeRun, choice: chosen, engine: cluster.NewEngine(), name: "kubecomm-faults-" + strings.ToLower(rand.Text()[:6]),
		controlPlanes: controlPlanes,
	}
	t.Cleanup(func() {
		assert.NoError(t, context.Cause(wholeRun))
		s.checkIsolation(t)
		s.delete(t)
	})
	return s
}

// test runs a case on a cluster that is as it was created.
func (s *suite) test(t *testing.T, name string, do func(ctx context.Context, t *testing.T)) {
	t.Helper()
	if s.ctx.Err() != nil {
		return // interrupted, of which newSuite tells
	}
	t.Run(name, func(t *testing.T) {
		if s.cluster == nil {
			s.create(t)
		}
		t.Cleanup(func() {
			if t.Failed() {
				s.salvage(t)
			}
		})
		ctx, cancel := context.WithTimeout(s.ctx, caseLimit)
		defer cancel()
		do(ctx, t)
	})
}

func (s *suite) create(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, createLimit)
	defer cancel()
	nodes := slices.Repeat([]cluster.NodeSpec{{Role: cluster.ControlPlane}}, s.controlPlanes)
	created, err := s.engine.Create(ctx, cluster.Spec{
		Name:      s.name,
		NodeImage: os.Getenv(nodeImageVariable),
		Nodes:     append(nodes, cluster.NodeSpec{Role: cluster.Worker}),
	}, cluster.CreateOptions{WaitForReady: true})
	if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
		t.Log(strings.Join(failure.Evidence, "\n"))
	}
	require.NoError(t, err)
	s.cluster = created
	s.stock = s.readFiles(ctx, t)
}

// salvage restores a cluster on which a case failed, or takes it down.
func (s *suite) salvage(t *testing.T) {
	t.Helper()
	if s.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, restoreLimit)
	defer cancel()
	err := apply.Restore(ctx, s.target(), apply.Options{Now: time.Now})
	for i := 0; err == nil && i < len(s.cluster.Nodes()); i++ {
		node := s.cluster.Nodes()[i]
		var found string
		if found, err = stock.Read(ctx, node); err == nil && found != s.stock[node.Name()] {
			err = fmt.Errorf("node %s has %s, and had %s", node.Name(), found, s.stock[node.Name()])
		}
	}
	if err != nil {
		t.Logf("the cluster can't be restored: %v", err)
		s.delete(t)
	}
}

func (s *suite) delete(t *testing.T) {
	t.Helper()
	if s.cluster == nil {
		return
	}
	s.cluster = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), deleteLimit)
	defer cancel()
	assert.NoError(t, s.engine.Delete(ctx, s.name, ""))
}

// checkIsolation asks, while the nodes still run, whether any packet for a pod or service could leave the machine. On a
// machine whose images come from a registry it asks nothing.
func (s *suite) checkIsolation(t *testing.T) {
	t.Helper()
	if s.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), deleteLimit)
	defer cancel()
	output, err := exec.CommandContext(ctx, "go", "run", "../env", "check", s.name).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

func (s *suite) controlPlane() *cluster.Node { return s.cluster.ControlPlanes()[0] }

// worker is the last node: control planes come first.
func (s *suite) worker() *cluster.Node { return s.cluster.Nodes()[len(s.cluster.Nodes())-1] }

// target is a new one for each apply, as a provider makes it.
func (s *suite) target() apply.Target { return apply.On(s.cluster) }

func (s *suite) observe(ctx context.Context, t *testing.T) apply.Observation {
	t.Helper()
	observed, err := apply.Observe(ctx, s.target(), time.Now())
	require.NoError(t, err)
	return observed
}

// everything is a declaration that takes steps of every kind that loses no request on a single control plane: etcd alone
// would.
func everything() settings.Settings { return settings.Of(everythingDeclared()) }

func everythingDeclared() map[string]settings.Value {
	return map[string]settings.Value{
		"kubelet.serving_certificates.source": {string(settings.DedicatedCA)},
		"apiserver.verify_kubelets":           {"true"},
		settings.NameKubeletClient:            {string(settings.CustomIdentity)},
		settings.NameKubeletClientRole:        {"system:kubelet-api-admin"},
		"apiserver.tls_min_version":           {"VersionTLS12"},
		"apiserver.anonymous_paths":           {"/livez", "/readyz", "/healthz"},
		"kubelet.tls_min_version":             {"VersionTLS12"},
		"controller_manager.tls_min_version":  {"VersionTLS12"},
		"scheduler.tls_min_version":           {"VersionTLS12"},
	}
}

// rotated is the same with a new CA.
func rotated() settings.Settings {
	want := everything()
	want.CAGeneration = "2"
	return want
}

// heard is what an apply in this process reported.
type heard []apply.Progress

func (h *heard) hear(p apply.Progress) { *h = append(*h, p) }

// note is that of the first event of its kind, or empty.
func (h heard) note(event apply.Event) string {
	for _, p := range h {
		if p.Event == event {
			return p.Note
		}
	}
	return ""
}

// converge applies, and sees that nothing is left to do.
func (s *suite) converge(ctx context.Context, t *testing.T, want settings.Settings) heard {
	t.Helper()
	var told heard
	observed, err := apply.Apply(ctx, s.target(), apply.Options{Settings: want, Now: time.Now, Progress: told.hear})
	require.NoError(t, err)
	require.Empty(t, apply.Plan(observed, want))
	require.Empty(t, apply.Plan(s.observe(ctx, t), want))
	return told
}

// restore does what a destroy does, and sees that the cluster is as it was created.
func (s *suite) restore(ctx context.Context, t *testing.T) heard {
	t.Helper()
	var told heard
	require.NoError(t, apply.Restore(ctx, s.target(), apply.Options{Now: time.Now, Progress: told.hear}))
	s.requireStock(ctx, t)
	return told
}
