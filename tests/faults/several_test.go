package faults

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// several are cases for control planes behind a load balancer, one after the other swapped.
func (s *suite) several(t *testing.T) {
	s.test(t, "left to itself, the provider applies and restores without an outage", func(ctx context.Context, t *testing.T) {
		requests := s.ask(ctx, t)
		s.converge(ctx, t, everything())
		s.restore(ctx, t)
		requireAllAnswered(t, requests)
	})
	s.test(t, "the provider is killed inside the swap of the second", func(ctx context.Context, t *testing.T) {
		s.killApply(ctx, t, point{
			want: everything(), order: order{Settings: everything()}, kind: apply.ReplaceAPIServer,
			reached: on(s.cluster.ControlPlanes()[1].Name(), begins(apply.ReplaceAPIServer, replacing)),
			journal: string(apply.ReplaceAPIServer),
		})
	})
	s.test(t, "a setting doesn't work on the third alone", s.thirdRefuses)
}

// thirdRefuses declares a file that two control planes have, and the last has not.
func (s *suite) thirdRefuses(ctx context.Context, t *testing.T) {
	t.Helper()
	planes := s.cluster.ControlPlanes()
	authority, err := planes[0].ReadFile(ctx, "/etc/kubernetes/pki/ca.crt")
	require.NoError(t, err)
	for _, node := range planes[:2] {
		s.putOn(ctx, t, node, clusterCACopy, authority.Data)
		t.Cleanup(func() { s.removePreparedFrom(t, node) })
	}
	want := settings.Defaults()
	want.SetFlag(settings.APIServer, "client-ca-file", clusterCACopy)
	steps := apply.Plan(s.observe(ctx, t), want)
	requests := s.ask(ctx, t)

	_, err = apply.Apply(ctx, s.target(), apply.Options{Settings: want, Now: time.Now})

	failure := stepError(t, err)
	assert.Equal(t, apply.ReplaceAPIServer, failure.Step.Kind)
	assert.Equal(t, planes[2].Name(), failure.Step.Node)
	assert.Equal(t, provingTrial, failure.Phase)
	require.ErrorContains(t, failure.Err, clusterCACopy+": no such file or directory")
	require.NoError(t, failure.UndoErr)
	steps = steps[:failure.Number]
	slices.Reverse(steps)
	assert.Equal(t, steps, failure.Undone)
	s.requireStock(ctx, t)
	requireAllAnswered(t, requests)
}
