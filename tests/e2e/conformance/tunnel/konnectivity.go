package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func konnectivityChecks() []suite.Check {
	return []suite.Check{
		{
			ID:       area + "konnectivity-agents",
			Sentence: "every server of Konnectivity has an agent on every node that says that it is connected to it",
			Answers:  []string{"T1", "T3"},
			Try:      only(suite.Konnectivity, agents),
		},
		{
			ID:       area + "konnectivity-carries-exec",
			Sentence: "an exec is a connection that the apiserver begins through Konnectivity's server, over a Unix socket",
			Answers:  []string{"C5", "T1", "T2"},
			Try:      only(suite.Konnectivity, carriesExec),
		},
		{
			ID:       area + "konnectivity-identities",
			Sentence: "agents may do nothing at the API but count leases, and show servers a token that is good for them alone",
			Answers:  []string{"T2"},
			Try:      only(suite.Konnectivity, identities),
		},
	}
}

func agents(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	servers, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	pods, err := s.Client.CoreV1().Pods(konnectivity.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=" + konnectivity.AgentAccount,
	})
	if err != nil {
		return err
	}
	connected := readyContainers(e, pods.Items)
	var problems []error
	for _, server := range servers {
		for _, node := range s.Nodes {
			meets := connected[agentOf{node.Name, konnectivity.EveryServer}]
			switch {
			case connected[agentOf{node.Name, konnectivity.Server{Node: server.Name}.ContainerName()}]:
			case meets && len(servers) == 1:
			case meets:
				return suite.Skip("agents that count leases don't say which of %d servers they are connected to", len(servers))
			default:
				problems = append(problems, fmt.Errorf("no agent of node %s is connected to the server of node %s", node.Name, server.Name))
			}
		}
	}
	return errors.Join(problems...)
}

// agentOf is a container of the agents of a node.
type agentOf struct{ node, container string }

// readyContainers are those that say that they are connected. While agents are replaced, a node has two: one that ends says nothing
// of how the node is.
func readyContainers(e *suite.Evidence, pods []corev1.Pod) map[agentOf]bool {
	ready := map[agentOf]bool{}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			e.Note("agent of node %s, pod %s: it ends", pod.Spec.NodeName, pod.Name)
			continue
		}
		for _, container := range pod.Status.ContainerStatuses {
			e.Note("agent of node %s, container %s: ready %t", pod.Spec.NodeName, container.Name, container.Ready)
			if container.Ready {
				ready[agentOf{pod.Spec.NodeName, container.Name}] = true
			}
		}
	}
	return ready
}

func carriesExec(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	apiserver, err := egress(s, "grpc")
	if err != nil {
		return err
	}
	return execCounted(ctx, s, e, s.LastNode(), apiserver)
}

func identities(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	user := accountUser(konnectivity.AgentAccount)
	bindings, err := s.Client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, binding := range bindings.Items {
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == konnectivity.Namespace && subject.Name == konnectivity.AgentAccount {
				return fmt.Errorf("ClusterRoleBinding %s gives %s rights", binding.Name, user)
			}
		}
	}
	if err := countsLeasesAtMost(ctx, s, user); err != nil {
		return err
	}
	sets, err := s.Client.AppsV1().DaemonSets(konnectivity.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	found := 0
	for _, set := range sets.Items {
		if set.Spec.Template.Spec.ServiceAccountName != konnectivity.AgentAccount {
			continue
		}
		for _, volume := range set.Spec.Template.Spec.Volumes {
			if volume.Projected == nil {
				continue
			}
			for _, source := range volume.Projected.Sources {
				if token := source.ServiceAccountToken; token != nil {
					e.Note("DaemonSet %s: a token for %q", set.Name, token.Audience)
					if token.Audience != konnectivity.Audience {
						return fmt.Errorf("DaemonSet %s has a token for %q", set.Name, token.Audience)
					}
					found++
				}
			}
		}
	}
	if found == 0 {
		return errors.New("no DaemonSet has agents with a token")
	}
	return nil
}

// countsLeasesAtMost asks the API what agents may do in their namespace, besides what any account may.
func countsLeasesAtMost(ctx context.Context, s *suite.Subject, user string) error {
	rights, err := rightsBeyond(ctx, s, konnectivity.AgentAccount, konnectivity.Namespace)
	if err != nil {
		return err
	}
	for _, rule := range rights.ResourceRules {
		counts := slices.Equal(rule.Resources, []string{"leases"}) && !slices.ContainsFunc(rule.Verbs, func(verb string) bool {
			return verb != "list" && verb != "watch"
		})
		if !counts {
			return fmt.Errorf("%s may %s", user, describeRule(rule))
		}
	}
	return nil
}
