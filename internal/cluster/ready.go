package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// readyLimit ends a wait whose context has no earlier deadline.
const readyLimit = 15 * time.Minute

// readyInterval is short because a whole cluster takes half a minute.
const readyInterval = 500 * time.Millisecond

// NotReadyError says which nodes are not Ready, and what their Ready condition says.
type NotReadyError struct {
	Nodes []NodeProblem
}

// NodeProblem is why a node isn't Ready.
type NodeProblem struct {
	Node   string
	Reason string
}

func (e *NotReadyError) Error() string {
	reasons := make([]string, len(e.Nodes))
	for i, node := range e.Nodes {
		reasons[i] = node.Node + ": " + node.Reason
	}
	return strings.Join(reasons, "; ")
}

// WaitReady waits until the cluster's API says that every node is Ready, as long as the context lasts. kind's own wait
// looks at control planes alone, and says nothing when it takes too long. The error wraps a *NotReadyError if the API
// answered.
func (c *Cluster) WaitReady(ctx context.Context) error {
	config, err := c.RESTConfig(ctx)
	if err != nil {
		return err
	}
	return c.waitReady(ctx, config)
}

func (c *Cluster) waitReady(ctx context.Context, config *rest.Config) error {
	// One request must not use up the whole wait: an apiserver that starts may leave it hanging.
	config.Timeout = 10 * time.Second
	// At the end of the wait, the client's own limit would be the last error, in place of what is wrong with the nodes.
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.name, err)
	}
	what := fmt.Sprintf("every node of cluster %s to be Ready", c.name)
	return wait.Until(ctx, what, wait.Options{Limit: readyLimit, Every: readyInterval}, func(ctx context.Context) error {
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("the API does not answer: %w", err)
		}
		if problems := c.notReady(list.Items); len(problems) > 0 {
			return &NotReadyError{problems}
		}
		return nil
	})
}

// notReady compares what the API says with the nodes that there are.
func (c *Cluster) notReady(items []corev1.Node) []NodeProblem {
	registered := map[string]corev1.Node{}
	for _, item := range items {
		registered[item.Name] = item
	}
	var problems []NodeProblem
	for _, node := range c.nodes {
		item, found := registered[node.name]
		if !found {
			problems = append(problems, NodeProblem{node.name, "it has not registered with the API"})
		} else if reason := unreadiness(item); reason != "" {
			problems = append(problems, NodeProblem{node.name, reason})
		}
	}
	return problems
}

// unreadiness is what a node's Ready condition says, or "" if it is Ready.
func unreadiness(node corev1.Node) string {
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		if condition.Status == corev1.ConditionTrue {
			return ""
		}
		return fmt.Sprintf("Ready is %s: %s: %s", condition.Status, condition.Reason, condition.Message)
	}
	return "it has no Ready condition yet"
}
