package inpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	renewedName = "in-pod-renewed"
	renewedFile = shortDir + "/token"
	// renewedEvery is how often it is looked whether something changed.
	renewedEvery = 5 * time.Second
	// renewedLimit is as long as a token is good for.
	renewedLimit = shortSeconds * time.Second
	// leeway is how long after its end an apiserver still takes a token, because clocks differ (Kubernetes v1.37.1,
	// pkg/serviceaccount/claims.go, by go-jose's DefaultLeeway).
	leeway = time.Minute
)

// renewal waits: kubelets renew a token when four fifths of its life are over (Kubernetes v1.37.1, pkg/kubelet/token/token_manager.go).
func renewal() suite.Check {
	var pod *corev1.Pod
	var old string
	return suite.Check{
		ID: area + "token-renewal",
		Sentence: "a pod's token is replaced in its file before it ends, by another that the API accepts; the old one is good until it " +
			"ends, and then refused",
		Answers: []string{"N5"},
		Slow:    true,
		Limit:   suite.SharedLimit + 2*renewedLimit,
		Refusal: unauthorized,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) (err error) {
			if pod, err = s.Client.CoreV1().Pods(s.Namespace).Create(ctx, renewedPod(s), metav1.CreateOptions{}); err != nil {
				return err
			}
			if err := s.WaitReady(ctx, renewedName); err != nil {
				return err
			}
			if old, err = run(ctx, s, pod, client, "cat", renewedFile); err != nil {
				return err
			}
			return accepted(ctx, s, e, old)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			start := time.Now()
			renewed, err := another(ctx, s, pod, old)
			if err != nil {
				return err
			}
			before, err := parseClaims(old)
			if err != nil {
				return err
			}
			after, err := parseClaims(renewed)
			if err != nil {
				return err
			}
			e.Note("after %s there is another token: it was issued %s after the first, which is good for %s",
				time.Since(start).Round(time.Second), after.issuedAfter(before), before.length())
			if after.IssuedAt >= before.Expiry {
				return errors.New("the token was renewed only after it had ended")
			}
			for _, token := range []string{renewed, old} {
				if err := accepted(ctx, s, e, token); err != nil {
					return err
				}
			}
			if err := ends(ctx, s, e, old); err != nil {
				return err
			}
			return accepted(ctx, s, e, renewed)
		},
	}
}

func renewedPod(s *suite.Subject) *corev1.Pod {
	container := clientContainer(s)
	container.VolumeMounts = []corev1.VolumeMount{{Name: "short", MountPath: shortDir}}
	pod := basePod(s, renewedName, container)
	pod.Spec.AutomountServiceAccountToken = new(false)
	pod.Spec.Volumes = []corev1.Volume{shortVolume("")}
	return pod
}

// another waits for another token in the pod's file.
func another(ctx context.Context, s *suite.Subject, pod *corev1.Pod, old string) (string, error) {
	var found string
	err := wait.Until(ctx, "another token", wait.Options{Limit: renewedLimit, Every: renewedEvery}, func(ctx context.Context) error {
		var err error
		if found, err = run(ctx, s, pod, client, "cat", renewedFile); err == nil && found == old {
			err = errors.New("it is the one that was there")
		}
		return err
	})
	return found, err
}

// ends waits for a token to be refused. By the apiserver's clock that must not be before its end.
func ends(ctx context.Context, s *suite.Subject, e *suite.Evidence, token string) error {
	told, err := parseClaims(token)
	if err != nil {
		return err
	}
	request, err := probe.API(s.WithToken(token), "/api")
	if err != nil {
		return err
	}
	limit := wait.Options{Limit: told.length() + leeway + cacheLimit, Every: renewedEvery}
	return wait.Until(ctx, "the old token to be refused", limit, func(ctx context.Context) error {
		seen := &suite.Evidence{} // of many tries, the last is enough
		answer, err := probe.Expect(ctx, seen, request, http.StatusUnauthorized, unauthorized)
		if err != nil {
			return err
		}
		at, err := http.ParseTime(answer.Header.Get("Date"))
		if err != nil {
			return wait.Final(fmt.Errorf("the apiserver doesn't say what time it is: %w", err))
		}
		early := time.Unix(told.Expiry, 0).Sub(at)
		if early > 0 {
			return wait.Final(fmt.Errorf("it was refused %s before its end", early))
		}
		e.Note("the old token was refused with %d %s, %s after its end", answer.Status, unauthorized, -early)
		return nil
	})
}
