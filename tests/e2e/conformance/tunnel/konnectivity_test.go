package tunnel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func TestAnAgentIsConnectedIfAnyContainerThatStaysSaysSo(t *testing.T) {
	pod := func(ends bool, ready map[string]bool) corev1.Pod {
		made := corev1.Pod{Spec: corev1.PodSpec{NodeName: "worker"}}
		if ends {
			made.DeletionTimestamp = &metav1.Time{}
		}
		for name, is := range ready {
			made.Status.ContainerStatuses = append(made.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, Ready: is})
		}
		return made
	}
	const one, every = "to-control-plane", konnectivity.EveryServer
	tests := map[string]struct {
		pods  []corev1.Pod
		ready []string
	}{
		"there is none":                           {nil, nil},
		"it isn't ready":                          {[]corev1.Pod{pod(false, map[string]bool{one: false})}, nil},
		"one that isn't ready comes after it":     {[]corev1.Pod{pod(false, map[string]bool{one: true}), pod(false, map[string]bool{one: false})}, []string{one}},
		"one that ends comes after it":            {[]corev1.Pod{pod(false, map[string]bool{one: true}), pod(true, map[string]bool{one: false})}, []string{one}},
		"the one that ends is all that was ready": {[]corev1.Pod{pod(true, map[string]bool{one: true}), pod(false, map[string]bool{one: false})}, nil},
		"it has other containers beside it":       {[]corev1.Pod{pod(false, map[string]bool{every: true, one: false})}, []string{every}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := map[agentOf]bool{}
			for _, container := range test.ready {
				want[agentOf{"worker", container}] = true
			}
			assert.Equal(t, want, readyContainers(&suite.Evidence{}, test.pods))
		})
	}
}
