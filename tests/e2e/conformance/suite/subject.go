package suite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// RunLabel marks everything that a run makes, so that it can be found again.
const RunLabel = "kubecomm.dev/conformance-run"

// controlPlaneLabel is on nodes that control planes run on (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go).
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// Images are what pods of a run are made of.
type Images struct {
	Agnhost string // the workload server of Kubernetes' own tests
	Kubectl string
	Python  string // with Kubernetes' client library; empty if there is none
}

// Subject is a cluster that is checked. Its methods may be used side by side.
type Subject struct {
	Admin     *rest.Config // not limited in how often it may ask
	Client    kubernetes.Interface
	Version   string // of the apiserver, as v1.37.1
	Nodes     []Node
	Expect    Expectation
	Images    Images
	Namespace string // the run's own

	kind    *cluster.Cluster // nil where it isn't known as one of kind's
	run     string
	started time.Time
	before  components
	pods    []workload.Pod

	closing sync.Once
	problem error // of closing
}

// Node is one of the cluster's.
type Node struct {
	Name         string
	ControlPlane bool
	Addresses    []string // internal ones, the first is where the apiserver reaches its kubelet
}

func (s *Subject) readNodes(ctx context.Context) error {
	found, err := s.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range found.Items {
		_, controls := node.Labels[controlPlaneLabel]
		known := Node{Name: node.Name, ControlPlane: controls}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				known.Addresses = append(known.Addresses, address.Address)
			}
		}
		if len(known.Addresses) == 0 {
			return fmt.Errorf("node %s has no internal address", node.Name)
		}
		s.Nodes = append(s.Nodes, known)
	}
	return nil
}

// ControlPlanes returns the nodes that control planes run on, or an error for a check to be skipped by where none is known, as in
// clusters whose control planes somebody else runs.
func (s *Subject) ControlPlanes() ([]Node, error) {
	found := slices.Collect(func(yield func(Node) bool) {
		for _, node := range s.Nodes {
			if node.ControlPlane && !yield(node) {
				return
			}
		}
	})
	if len(found) == 0 {
		return nil, Skip("no node of this cluster is a control plane")
	}
	return found, nil
}

// LastNode is a worker where there is one.
func (s *Subject) LastNode() Node {
	if i := slices.IndexFunc(s.Nodes, func(n Node) bool { return !n.ControlPlane }); i >= 0 {
		return s.Nodes[i]
	}
	return s.Nodes[len(s.Nodes)-1]
}

// Kind is the cluster as its nodes are seen by the container engine, or an error for a check to be skipped by.
func (s *Subject) Kind() (*cluster.Cluster, error) {
	if s.kind == nil {
		return nil, Skip("this takes a look into nodes, for which -kind names a cluster of kind's")
	}
	return s.kind, nil
}

// Inside is a node as the container engine knows it, or an error for a check to be skipped by.
func (s *Subject) Inside(node Node) (*cluster.Node, error) {
	kind, err := s.Kind()
	if err != nil {
		return nil, err
	}
	for _, known := range kind.Nodes() {
		if known.Name() == node.Name {
			return known, nil
		}
	}
	return nil, fmt.Errorf("the container engine knows no node %s", node.Name)
}

// Pods are the run's: one on every node.
func (s *Subject) Pods() []workload.Pod { return s.pods }

// Pod is the run's on a node.
func (s *Subject) Pod(node Node) workload.Pod {
	i := slices.IndexFunc(s.pods, func(pod workload.Pod) bool { return pod.Node == node.Name })
	return s.pods[i] // there is one on each
}

// Labels are for everything that is made during the run. What lies in Namespace needs none.
func (s *Subject) Labels() map[string]string { return map[string]string{RunLabel: s.run} }

// Meta names an object of the cluster's, or of Namespace.
func (s *Subject) Meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: "kubecomm-conformance-" + s.run + "-" + name, Labels: s.Labels()}
}

func newRun() string { return strings.ToLower(rand.Text()[:8]) }

// ReadyLimit is how long what a run makes may take to be ready. It leaves time for kubelets to pull images, where there is a registry.
const ReadyLimit = 4 * time.Minute

// Deploy makes the run's namespace and pods.
func (s *Subject) Deploy(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ReadyLimit, fmt.Errorf("the run's pods weren't ready after %s", ReadyLimit))
	defer cancel()
	labels := s.Labels()
	for _, mode := range []string{"enforce", "audit", "warn"} { // for pods in the network of their nodes
		labels["pod-security.kubernetes.io/"+mode] = "privileged"
	}
	var names []string
	for _, node := range s.Nodes {
		names = append(names, node.Name)
	}
	var err error
	s.pods, err = workload.Deploy(ctx, s.Admin, workload.Deployment{
		Namespace: s.Namespace, Labels: labels, Image: s.Images.Agnhost, Nodes: names,
	})
	if err != nil {
		return err
	}
	return s.deployHosts(ctx)
}

// closeLimit bounds the clean-up.
const closeLimit = 2 * time.Minute

// Close removes all that the run made, and waits until it is gone. It does so once, also after ctx has ended.
func (s *Subject) Close(ctx context.Context) error {
	s.closing.Do(func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		s.problem = s.remove(limited)
	})
	return s.problem
}

func (s *Subject) remove(ctx context.Context) error {
	var problems []error
	kinds := collections(s.Client)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if err := kinds[kind].remove(ctx, s.selector()); err != nil {
			problems = append(problems, fmt.Errorf("removing the run's %s: %w", kind, err))
		}
	}
	problems = append(problems, s.waitGone(ctx))
	return errors.Join(problems...)
}

func (s *Subject) selector() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: RunLabel + "=" + s.run}
}
