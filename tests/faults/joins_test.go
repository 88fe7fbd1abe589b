package faults

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// joinsRefused lets the very last step of an apply fail, on a cluster that was never hardened.
func (s *suite) joinsRefused(ctx context.Context, t *testing.T) {
	t.Helper()
	s.restore(ctx, t)
	s.freeze(ctx, t, "kubelet-config")
	steps := apply.Plan(s.observe(ctx, t), everything())
	requests := s.ask(ctx, t)

	_, err := apply.Apply(ctx, s.target(), apply.Options{Settings: everything(), Now: time.Now})

	t.Log(err)
	failure, ok := errors.AsType[*apply.StepError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, apply.ConfigureJoins, failure.Step.Kind)
	assert.Equal(t, "write the ConfigMaps", failure.Phase)
	require.ErrorContains(t, failure.Err, "writing ConfigMap kube-system/kubelet-config")
	require.ErrorContains(t, failure.Err, "field is immutable")
	require.NoError(t, failure.UndoErr)
	slices.Reverse(steps)
	assert.Equal(t, steps, failure.Undone)
	s.requireStock(ctx, t)
	requireAllAnswered(t, requests)
}

func (s *suite) configMaps(ctx context.Context, t *testing.T) corev1client.ConfigMapInterface {
	t.Helper()
	config, err := s.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
}

// freeze makes a ConfigMap immutable until the test ends. To thaw it, it has to be made anew.
func (s *suite) freeze(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	configMaps := s.configMaps(ctx, t)
	frozen, err := configMaps.Get(ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	original := frozen.DeepCopy()
	original.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: original.Labels, Annotations: original.Annotations}
	immutable := true
	frozen.Immutable = &immutable
	_, err = configMaps.Update(ctx, frozen, metav1.UpdateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		require.NoError(t, configMaps.Delete(ctx, name, metav1.DeleteOptions{}))
		_, err := configMaps.Create(ctx, original, metav1.CreateOptions{})
		require.NoError(t, err)
	})
}
