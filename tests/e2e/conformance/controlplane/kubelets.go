package controlplane

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// knownLimit is how long the node authorizer may take to know a pod's secrets.
const knownLimit = 20 * time.Second

func readsOwnNode(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	node := s.LastNode()
	kubelet, err := s.AsKubelet(node)
	if err != nil {
		return err
	}
	if _, err = kubelet.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{}); err == nil {
		e.Note("the kubelet of node %s may read its own Node", node.Name)
	}
	return err
}

// otherNode is one that isn't the last.
func otherNode(s *suite.Subject) (suite.Node, error) {
	for _, node := range s.Nodes {
		if node.Name != s.LastNode().Name {
			return node, nil
		}
	}
	return suite.Node{}, suite.Skip("the cluster has one node only")
}

func ownNode() suite.Check {
	return suite.Check{
		ID:       area + "node-reads-own-node-only",
		Sentence: "a kubelet may read its own Node, and no other",
		Answers:  []string{"N3", "CIS 1.2.7"},
		Refusal:  "only its own Node object",
		Control:  readsOwnNode,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			other, err := otherNode(s)
			if err != nil {
				return err
			}
			kubelet, err := s.AsKubelet(s.LastNode())
			if err != nil {
				return err
			}
			_, err = kubelet.CoreV1().Nodes().Get(ctx, other.Name, metav1.GetOptions{})
			e.Note("the kubelet of node %s reads node %s: %v", s.LastNode().Name, other.Name, err)
			return probe.Refused(err, "only its own Node object")
		},
	}
}

func othersSecrets() suite.Check {
	const used, unused = "used-on-a-node", "used-by-nobody"
	return suite.Check{
		ID:       area + "node-reads-own-secrets-only",
		Sentence: "a kubelet may read the secrets that pods on its node use, and no others",
		Answers:  []string{"N3", "CIS 1.2.7"},
		Limit:    limit,
		Refusal:  "no relationship found between node",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			for _, name := range []string{used, unused} {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"word": "example"}}
				if _, err := s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			node := s.LastNode()
			if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, userOf(s, node, used), metav1.CreateOptions{}); err != nil {
				return err
			}
			kubelet, err := s.AsKubelet(node)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("the kubelet of node %s to be let read the secret of a pod of its", node.Name)
			err = wait.Until(ctx, what, wait.Options{Limit: knownLimit}, func(ctx context.Context) error {
				_, err := kubelet.CoreV1().Secrets(s.Namespace).Get(ctx, used, metav1.GetOptions{})
				return err
			})
			if err == nil {
				e.Note("the kubelet of node %s may read secret %s, which a pod on it mounts", node.Name, used)
			}
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			node := s.LastNode()
			kubelet, err := s.AsKubelet(node)
			if err != nil {
				return err
			}
			_, err = kubelet.CoreV1().Secrets(s.Namespace).Get(ctx, unused, metav1.GetOptions{})
			e.Note("the kubelet of node %s reads secret %s: %v", node.Name, unused, err)
			return probe.Refused(err, fmt.Sprintf("no relationship found between node '%s' and this object", node.Name))
		},
	}
}

// userOf is a pod on a node that mounts a secret.
func userOf(s *suite.Subject, node suite.Node, secret string) *corev1.Pod {
	pod := s.NewPod(node, secret, corev1.Container{
		Name: "user", Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"pause"},
		VolumeMounts: []corev1.VolumeMount{{Name: "secret", MountPath: "/secret", ReadOnly: true}},
	})
	pod.Spec.Volumes = []corev1.Volume{{
		Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}},
	}}
	return pod
}

// label has the last node's kubelet label a node, without that anything changes.
func label(ctx context.Context, s *suite.Subject, e *suite.Evidence, node suite.Node, key string) error {
	kubelet, err := s.AsKubelet(s.LastNode())
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"x"}}}`, key)
	_, err = kubelet.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		e.Note("the kubelet of node %s may label node %s with %s", s.LastNode().Name, node.Name, key)
	} else {
		e.Note("the kubelet of node %s labels node %s with %s: %v", s.LastNode().Name, node.Name, key, err)
	}
	return err
}

// freeLabel is one that kubelets may give their nodes.
const freeLabel = "kubecomm.dev/conformance"

func labelsItself(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	return label(ctx, s, e, s.LastNode(), freeLabel)
}

func othersNodes() suite.Check {
	return suite.Check{
		ID:       area + "node-changes-own-node-only",
		Sentence: "a kubelet may change its own Node, and no other",
		Answers:  []string{"N3", "CIS 1.2.14"},
		Refusal:  "is not allowed to modify node",
		Control:  labelsItself,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			other, err := otherNode(s)
			if err != nil {
				return err
			}
			return probe.Refused(label(ctx, s, e, other, freeLabel), "is not allowed to modify node")
		},
	}
}

func restrictedLabels() suite.Check {
	const key = "node-restriction.kubernetes.io/x"
	return suite.Check{
		ID:       area + "node-cannot-isolate-itself",
		Sentence: "a kubelet can't give its Node a label by which workloads are kept apart",
		Answers:  []string{"N3", "CIS 1.2.14"},
		Refusal:  "is not allowed to modify labels: " + key,
		Control:  labelsItself,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return probe.Refused(label(ctx, s, e, s.LastNode(), key), "is not allowed to modify labels: "+key)
		},
	}
}
