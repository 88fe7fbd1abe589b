// Package workload runs a pod on every node of a cluster and uses it over each path that leads through the node's
// kubelet. What counts is what arrived, not that nothing failed.
package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// readyLimit leaves time for the kubelets to pull the image, where there is a registry.
const readyLimit = 3 * time.Minute

// Pod is one node's pod.
type Pod struct {
	Node      string
	name      string
	namespace string
	config    *rest.Config
	client    kubernetes.Interface
}

// Deployment is what Deploy makes.
type Deployment struct {
	Namespace string            // which it makes; "kubecomm-test" if empty
	Labels    map[string]string // of the namespace
	Image     string            // agnhost, the workload server of Kubernetes' own tests
	Nodes     []string          // control planes may be among them
}

// Deploy starts a pod on each of the nodes and waits until all of them are ready.
func Deploy(ctx context.Context, config *rest.Config, d Deployment) ([]Pod, error) {
	if d.Namespace == "" {
		d.Namespace = "kubecomm-test"
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: d.Namespace, Labels: d.Labels}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, home, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	var pods []Pod
	for _, node := range d.Nodes {
		pod := Pod{Node: node, name: "on-" + node, namespace: d.Namespace, config: config, client: client}
		if err := pod.start(ctx, d.Image); err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	for _, pod := range pods {
		if err := WaitReady(ctx, client, pod.namespace, pod.name, readyLimit); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

// start creates the pod. A namespace that was just created has no service account yet, and refuses pods until then.
func (p Pod) start(ctx context.Context, image string) error {
	what := fmt.Sprintf("pod %s to be accepted", p.name)
	return wait.Until(ctx, what, wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		_, err := p.client.CoreV1().Pods(p.namespace).Create(ctx, p.manifest(image), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// WaitReady waits for a pod, which need not be one of those that Deploy makes.
func WaitReady(ctx context.Context, client kubernetes.Interface, namespace, name string, limit time.Duration) error {
	what := fmt.Sprintf("pod %s to be ready", name)
	return wait.Until(ctx, what, wait.Options{Limit: limit}, func(ctx context.Context) error {
		found, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return Ready(found)
	})
}

// Ready returns nil of a pod that is ready, or else how it stands.
func Ready(pod *corev1.Pod) error {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	problem := fmt.Errorf("it is %s", pod.Status.Phase)
	for _, container := range pod.Status.ContainerStatuses {
		if waiting := container.State.Waiting; waiting != nil {
			problem = errors.Join(problem, fmt.Errorf("container %s: %s: %s", container.Name, waiting.Reason, waiting.Message))
		}
	}
	return problem
}

// Containers returns the identities of the pod's running containers: others after a restart.
func (p Pod) Containers(ctx context.Context) ([]string, error) {
	found, err := p.client.CoreV1().Pods(p.namespace).Get(ctx, p.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var identities []string
	for _, container := range found.Status.ContainerStatuses {
		identities = append(identities, container.ContainerID)
	}
	return identities, nil
}
