package faults

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// leastRefusals is how many settings that don't work there are cases of, at least.
const leastRefusals = 12

// refusal is a declaration that doesn't work, and how that is found out.
type refusal struct {
	name    string
	prepare func(ctx context.Context, t *testing.T, s *suite) // on the control plane; may be nil
	flags   map[string]string                                 // of the kube-apiserver
	fields  map[string]any                                    // of the kubelets' configuration
	phase   string                                            // of the step that fails
	says    []string                                          // why, in the component's own words where it has any
}

// refused declares what doesn't work, on a cluster that is hardened otherwise.
func (s *suite) refused(t *testing.T) {
	list := refusals()
	require.GreaterOrEqual(t, len(list), leastRefusals)
	type test struct {
		name string
		do   func(ctx context.Context, t *testing.T)
	}
	tests := []test{
		{"all steps before it are undone", s.undoEverything},
		{"kubeadm's ConfigMaps can't be changed, which comes last", s.joinsRefused},
		{"but what does work goes live by the same means", s.goLive},
	}
	for _, r := range list {
		tests = append(tests, test{r.name, func(ctx context.Context, t *testing.T) { s.refuse(ctx, t, r) }})
	}
	for _, picked := range pick(s.choice, tests, 3) {
		s.test(t, picked.name, picked.do)
	}
	if s.cluster != nil {
		s.test(t, "after all that, a restore restores", func(ctx context.Context, t *testing.T) {
			s.restore(ctx, t)
			s.requireNothing(ctx, t, deadScript)
		})
	}
}

// declaration is the refused one: everything else of it works.
func (r refusal) declaration() settings.Settings {
	want := settings.Defaults()
	want.KubeletFields = r.fields
	for name, value := range r.flags {
		want.SetFlag(settings.APIServer, name, value)
	}
	// A declared flag would lose against what this stands for.
	_, given := r.flags["kubelet-certificate-authority"]
	want.VerifyKubelets = !given
	return want
}

func (s *suite) refuse(ctx context.Context, t *testing.T, r refusal) {
	t.Helper()
	s.converge(ctx, t, settings.Defaults())
	if r.prepare != nil {
		r.prepare(ctx, t, s)
		t.Cleanup(func() { s.removePrepared(t) })
	}
	filesBefore, processesBefore := s.readFiles(ctx, t), s.processes(ctx, t)
	steps := apply.Plan(s.observe(ctx, t), r.declaration())
	require.NotEmpty(t, steps)
	refused := steps[0]
	requests := s.ask(ctx, t)

	var told heard
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: r.declaration(), Now: time.Now, Progress: told.hear})

	t.Logf("refused after %s: %v", told[len(told)-1].Elapsed.Round(time.Second), err)
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, refused, failure.Step, "of several nodes, the first")
	assert.Equal(t, r.phase, failure.Phase)
	for _, reason := range r.says {
		assert.Contains(t, failure.Err.Error(), reason)
	}
	require.NoError(t, failure.UndoErr)
	assert.Equal(t, []apply.Step{refused}, failure.Undone)

	processesAfter := s.processes(ctx, t)
	if refused.Kind == apply.ConfigureKubelet {
		delete(processesBefore, "kubelet on "+refused.Node)
		delete(processesAfter, "kubelet on "+refused.Node)
	}
	assert.Equal(t, processesBefore, processesAfter)
	assert.Equal(t, filesBefore, s.readFiles(ctx, t))
	s.requireNothing(ctx, t, trialScript)
	assert.Empty(t, apply.Plan(s.observe(ctx, t), settings.Defaults()))
	requireAllAnswered(t, requests)
}

// undoEverything lets a late step of an apply fail, on a cluster that was never hardened.
func (s *suite) undoEverything(ctx context.Context, t *testing.T) {
	t.Helper()
	s.restore(ctx, t)
	want := everything()
	want.SetFlag(settings.APIServer, "no-such-flag", "1")
	steps := apply.Plan(s.observe(ctx, t), want)
	requests := s.ask(ctx, t)

	var told heard
	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: want, Now: time.Now, Progress: told.hear})

	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, apply.ReplaceAPIServer, failure.Step.Kind)
	require.NoError(t, failure.UndoErr)
	steps = steps[:failure.Number]
	slices.Reverse(steps)
	assert.Equal(t, steps, failure.Undone)
	for _, step := range steps {
		assert.Contains(t, failure.Error(), "Undone: node "+step.Node+": "+string(step.Kind))
	}
	s.requireStock(ctx, t)
	requireAllAnswered(t, requests)
}

// goLive is the positive control of all refusals: the same flags, with files that were made in the same way.
func (s *suite) goLive(ctx context.Context, t *testing.T) {
	t.Helper()
	s.converge(ctx, t, settings.Defaults())
	before := s.observe(ctx, t).Nodes[0].APIServer.Running
	reissueClusterCA(time.Hour)(ctx, t, s)
	reissueKubeletCA(time.Hour)(ctx, t, s)
	t.Cleanup(func() { s.removePrepared(t) })
	flags := map[string]string{
		"client-ca-file":                clusterCACopy,
		"kubelet-certificate-authority": kubeletCACopy,
		"enable-admission-plugins":      "NodeRestriction,PodNodeSelector",
		"tls-cipher-suites":             "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"tls-min-version":               "VersionTLS12",
	}
	want := refusal{flags: flags, fields: map[string]any{"tlsMinVersion": "VersionTLS12"}}.declaration()
	requests := s.ask(ctx, t)

	s.converge(ctx, t, want)
	running := s.observe(ctx, t).Nodes[0].APIServer.Running
	for name, value := range flags {
		assert.Equal(t, []string{value}, running[name])
	}

	// What isn't among the settings proper doesn't go by being declared no longer.
	back := settings.Defaults()
	for name := range flags {
		if values, given := before[name]; given {
			back.SetFlag(settings.APIServer, name, values...)
		}
	}
	s.converge(ctx, t, back)
	assert.Equal(t, before, s.observe(ctx, t).Nodes[0].APIServer.Running)
	requireAllAnswered(t, requests)
}
