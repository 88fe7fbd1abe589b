package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// componentLabel is on the static pods of control planes (Kubernetes v1.37.1, cmd/kubeadm/app/util/staticpod/utils.go).
const componentLabel = "component"

// components are a cluster's own containers by pod and name, and the identity of each: another after a restart. What an apply of
// kubecomm's that has just ended took away isn't among them.
type components map[string]string

func (s *Subject) readComponents(ctx context.Context) (components, error) {
	found, err := s.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := components{}
	for _, pod := range found.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.Name == apply.TrialName {
				continue
			}
			all[pod.Name+"/"+container.Name] = container.ContainerID
		}
	}
	return all, nil
}

// Restarted returns which of the cluster's own containers aren't those that ran when the run began.
func (s *Subject) Restarted(ctx context.Context) ([]string, error) {
	now, err := s.readComponents(ctx)
	if err != nil {
		return nil, err
	}
	var changed []string
	for name, identity := range s.before {
		switch {
		case now[name] == "":
			changed = append(changed, name+" is gone")
		case now[name] != identity:
			changed = append(changed, name+" is another")
		}
	}
	return changed, nil
}

// Component is the pod of a component of a control plane, or an error for a check to be skipped by.
func (s *Subject) Component(ctx context.Context, node Node, component settings.Component) (*corev1.Pod, error) {
	found, err := s.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		LabelSelector: componentLabel + "=" + string(component), FieldSelector: "spec.nodeName=" + node.Name,
	})
	if err != nil {
		return nil, err
	}
	if len(found.Items) == 0 {
		return nil, Skip("%s of node %s is no static pod as kubeadm makes it", component, node.Name)
	}
	return &found.Items[0], nil
}

// Flags are those that a component of a control plane was started with, as its static pod says.
func (s *Subject) Flags(ctx context.Context, node Node, component settings.Component) (controlplane.Flags, error) {
	pod, err := s.Component(ctx, node, component)
	if err != nil {
		return nil, err
	}
	for _, container := range pod.Spec.Containers {
		if container.Name == string(component) {
			arguments := append(slices.Clone(container.Command), container.Args...)
			return controlplane.ParseCommandLine([]byte(strings.Join(arguments, "\x00"))), nil
		}
	}
	return nil, fmt.Errorf("pod %s has no container %s", pod.Name, component)
}

// Log is what a component of a control plane has written since the run began.
func (s *Subject) Log(ctx context.Context, node Node, component settings.Component) (string, error) {
	pod, err := s.Component(ctx, node, component)
	if err != nil {
		return "", err
	}
	since := metav1.NewTime(s.started)
	text, err := s.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: string(component), SinceTime: &since,
	}).DoRaw(ctx)
	return string(text), err
}

// Started is when the run began.
func (s *Subject) Started() time.Time { return s.started }

// KubeletField returns a field of the configuration that a node's kubelet runs with; dots lead to what is inside of an object. It
// returns nil where there is none.
func (s *Subject) KubeletField(ctx context.Context, node Node, field string) (any, error) {
	answer, err := s.Client.CoreV1().RESTClient().Get().
		Resource("nodes").Name(node.Name).SubResource("proxy").Suffix("configz").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of node %s's kubelet: %w", node.Name, err)
	}
	var read struct {
		Config map[string]any `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		return nil, err
	}
	var value any = read.Config
	for name := range strings.SplitSeq(field, ".") {
		inside, ok := value.(map[string]any)
		if !ok {
			return nil, nil
		}
		value = inside[name]
	}
	return value, nil
}
