package tunnel

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
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
			Try:      only(agents),
		},
		{
			ID:       area + "konnectivity-carries-exec",
			Sentence: "an exec is a connection that the apiserver begins through Konnectivity's server, over a Unix socket",
			Answers:  []string{"C5", "T1", "T2"},
			Try:      only(carriesExec),
		},
		{
			ID:       area + "konnectivity-identities",
			Sentence: "agents may do nothing at the API but count leases, and show servers a token that is good for them alone",
			Answers:  []string{"T2"},
			Try:      only(identities),
		},
	}
}

func only(try suite.Action) suite.Action {
	return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		if s.Expect.Tunnel != suite.Konnectivity {
			return suite.Skip("the tunnel is declared to be %s", s.Expect.Tunnel)
		}
		return try(ctx, s, e)
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

// dials matches what an apiserver counts of connections through a tunnel (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/metrics/metrics.go).
var dials = regexp.MustCompile(`(?m)^apiserver_egress_dialer_dial_start_total\{protocol="grpc",transport="uds"\} (\d+)$`)

func carriesExec(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	switch servers, err := s.ControlPlanes(); {
	case err != nil:
		return err
	case len(servers) > 1:
		return suite.Skip("with several apiservers, it isn't known which is asked")
	}
	count := func() (int, error) {
		data, err := s.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return 0, err
		}
		found := dials.FindSubmatch(data)
		if found == nil {
			return 0, nil
		}
		return strconv.Atoi(string(found[1]))
	}
	before, err := count()
	if err != nil {
		return err
	}
	node := s.LastNode()
	if err := s.Pod(node).Echo(ctx); err != nil {
		return fmt.Errorf("exec on node %s: %w", node.Name, err)
	}
	after, err := count()
	if err != nil {
		return err
	}
	e.Note("connections through the tunnel before the exec: %d, after it: %d", before, after)
	if after <= before {
		return fmt.Errorf("the apiserver has counted %d connections through the tunnel before the exec and %d after it", before, after)
	}
	return nil
}

func identities(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	user := "system:serviceaccount:" + konnectivity.Namespace + ":" + konnectivity.AgentAccount
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

// countsLeasesAtMost asks the API what an account may do in the namespace that agents are in, besides what any account may.
func countsLeasesAtMost(ctx context.Context, s *suite.Subject, user string) error {
	anybodys, err := rulesOf(ctx, s, "system:serviceaccount:"+konnectivity.Namespace+":nobody-in-particular")
	if err != nil {
		return err
	}
	rules, err := rulesOf(ctx, s, user)
	if err != nil {
		return err
	}
	for _, rule := range rules {
		more := !slices.ContainsFunc(anybodys, func(r authorizationv1.ResourceRule) bool { return reflect.DeepEqual(r, rule) })
		counts := slices.Equal(rule.Resources, []string{"leases"}) && !slices.ContainsFunc(rule.Verbs, func(verb string) bool {
			return verb != "list" && verb != "watch"
		})
		if more && !counts {
			return fmt.Errorf("%s may %s %s", user, strings.Join(rule.Verbs, ", "), strings.Join(rule.Resources, ", "))
		}
	}
	return nil
}

func rulesOf(ctx context.Context, s *suite.Subject, user string) ([]authorizationv1.ResourceRule, error) {
	client, err := s.As(user)
	if err != nil {
		return nil, err
	}
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: konnectivity.Namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking what %s may do: %w", user, err)
	}
	return review.Status.ResourceRules, nil
}
