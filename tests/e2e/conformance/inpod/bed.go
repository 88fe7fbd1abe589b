package inpod

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// beds have the pods that checks are done from.
type beds struct{ suite.Shared[*bed] }

func newBeds() *beds {
	return &beds{suite.Shared[*bed]{What: "the pods to check from", Build: makeBed}}
}

// bed are the pods that checks are done from.
type bed struct {
	app    *corev1.Pod // its account may do nothing
	reader *corev1.Pod // its account may list secrets
	opted  *corev1.Pod // without a mounted token
}

func makeBed(ctx context.Context, s *suite.Subject) (*bed, error) {
	if err := s.MakeAccount(ctx, appName); err != nil {
		return nil, err
	}
	lists := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}
	if err := s.MakeAccount(ctx, readerName, lists); err != nil {
		return nil, err
	}
	made := &bed{}
	for into, pod := range map[**corev1.Pod]*corev1.Pod{&made.app: appPod(s), &made.reader: readerPod(s), &made.opted: optedPod(s)} {
		var err error
		if *into, err = s.Client.CoreV1().Pods(s.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	for _, pod := range []*corev1.Pod{made.app, made.reader, made.opted} {
		if err := s.WaitReady(ctx, pod.Name); err != nil {
			return nil, err
		}
	}
	return made, made.writeKubeconfig(ctx, s)
}
