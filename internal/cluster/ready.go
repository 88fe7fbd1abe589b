package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/typed/core/v1"
)

// readyInterval is short because a whole cluster takes half a minute, and a list of a few nodes costs nothing.
const readyInterval = 500 * time.Millisecond

// NotReadyError says which nodes a wait ended without.
type NotReadyError struct {
	Cluster string
	Nodes   []NodeProblem // empty if the API did not answer
	Err     error         // why the wait ended, with the API's last error if it did not answer
}

// NodeProblem is why a node isn't Ready.
type NodeProblem struct {
	Node   string
	Reason string
}

func (e *NotReadyError) Error() string {
	if len(e.Nodes) == 0 {
		return fmt.Sprintf("the API of cluster %s does not answer: %v", e.Cluster, e.Err)
	}
	reasons := make([]string, len(e.Nodes))
	for i, node := range e.Nodes {
		reasons[i] = node.Node + ": " + node.Reason
	}
	return fmt.Sprintf("nodes of cluster %s are not Ready (%v): %s", e.Cluster, e.Err, strings.Join(reasons, "; "))
}

func (e *NotReadyError) Unwrap() error { return e.Err }

// WaitReady waits until the cluster's API says that every node is Ready, as long as the context lasts. kind's own wait
// looks at control planes alone, and when it takes too long says nothing. A failure is a *NotReadyError.
func (c *Cluster) WaitReady(ctx context.Context) error {
	config, err := c.RESTConfig(ctx)
	if err != nil {
		return err
	}
	// One request must not use up the whole wait: an apiserver that starts may leave it hanging.
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.name, err)
	}
	return c.waitReady(ctx, client.CoreV1().Nodes())
}

func (c *Cluster) waitReady(ctx context.Context, api v1.NodeInterface) error {
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	notReady := &NotReadyError{Cluster: c.name}
	var lastError error
	for {
		list, err := api.List(ctx, metav1.ListOptions{})
		switch {
		case err == nil:
			notReady.Nodes, lastError = c.notReady(list.Items), nil
			if len(notReady.Nodes) == 0 {
				return nil
			}
		case ctx.Err() == nil:
			lastError = err
		}
		select {
		case <-ctx.Done():
			notReady.Err = context.Cause(ctx)
			if lastError != nil {
				notReady.Nodes = nil
				notReady.Err = fmt.Errorf("%w: %w", notReady.Err, lastError)
			}
			return notReady
		case <-ticker.C:
		}
	}
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
