package apply

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
)

// document is a text in a ConfigMap of kubeadm's, by which it sets up nodes that join.
type document struct{ configMap, key string }

// Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go.
var (
	clusterDocument = document{"kubeadm-config", "ClusterConfiguration"}
	kubeletDocument = document{"kubelet-config", "kubelet"}
)

func documents() []document { return []document{clusterDocument, kubeletDocument} }

func (d document) String() string {
	return fmt.Sprintf("%s of ConfigMap %s/%s", d.key, metav1.NamespaceSystem, d.configMap)
}

// joinsBaseline names the ConfigMap that holds what the documents were before kubecomm's first change. It is as durable as
// they are: any control plane may be lost, and a snapshot of etcd has both. An annotation of theirs would not do, because
// an upgrade by kubeadm drops those (Kubernetes v1.37.1, cmd/kubeadm/app/util/apiclient/idempotency.go, CreateOrUpdate).
const joinsBaseline = "kubecomm-baseline"

func (d document) baselineKey() string { return d.configMap + "." + d.key }

// keptText is a document, and what it was before kubecomm's first change.
type keptText struct {
	current  string
	original string // the current one, unless it was saved
	saved    bool
}

// texts are the documents that a cluster has. One that kubeadm didn't make has none.
type texts map[document]keptText

func (t texts) anySaved() bool {
	for _, text := range t {
		if text.saved {
			return true
		}
	}
	return false
}

func readDocuments(ctx context.Context, client apiClient) (texts, error) {
	configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	read := func(name string) (*corev1.ConfigMap, error) {
		found, err := configMaps.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return &corev1.ConfigMap{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading ConfigMap %s/%s: %w", metav1.NamespaceSystem, name, err)
		}
		return found, nil
	}
	saved, err := read(joinsBaseline)
	if err != nil {
		return nil, err
	}
	found := texts{}
	for _, document := range documents() {
		configMap, err := read(document.configMap)
		if err != nil {
			return nil, err
		}
		text, isThere := configMap.Data[document.key]
		if !isThere {
			continue
		}
		kept := keptText{current: text, original: text}
		if original, isSaved := saved.Data[document.baselineKey()]; isSaved {
			kept.original, kept.saved = original, true
		}
		found[document] = kept
	}
	return found, nil
}

// JoinsObservation is what kubeadm gives nodes that join later.
type JoinsObservation struct {
	Cluster *controlplane.ClusterConfiguration // nil where the cluster has none
	Kubelet kubelet.Fields                     // the same
	// The baselines are what they were before kubecomm's first change; nil if there was none.
	ClusterBaseline *controlplane.ClusterConfiguration
	KubeletBaseline kubelet.Fields
	Problem         error // why they could not be read
	// Later are the nodes that joined after kubecomm's first change, by name: they began with what kubeadm gave them then.
	Later []string
}

func (o JoinsObservation) begun() bool { return o.ClusterBaseline != nil || o.KubeletBaseline != nil }

// readJoins returns the documents, and the nodes that joined after kubecomm's first change.
func readJoins(ctx context.Context, client apiClient) (found texts, later []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if found, err = readDocuments(ctx, client); err == nil && found.anySaved() {
		later, err = nodesSince(ctx, client)
	}
	return found, later, err
}

func askAPI(ctx context.Context, target Target, node Node, ask func(context.Context, apiClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return withAPI(ctx, target, node, func(client apiClient) error { return ask(ctx, client) })
}

// nodesSince names the nodes that joined after the baseline was made, both by the clocks of apiservers.
func nodesSince(ctx context.Context, client apiClient) ([]string, error) {
	baseline, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, joinsBaseline, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s/%s: %w", metav1.NamespaceSystem, joinsBaseline, err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var names []string
	for _, node := range nodes.Items {
		if baseline.CreationTimestamp.Before(&node.CreationTimestamp) {
			names = append(names, node.Name)
		}
	}
	return names, nil
}

func parseDocuments(found texts) (JoinsObservation, error) {
	var o JoinsObservation
	var problems [4]error
	if text, isThere := found[clusterDocument]; isThere {
		o.Cluster, problems[0] = controlplane.ParseClusterConfiguration([]byte(text.current))
		if text.saved {
			o.ClusterBaseline, problems[1] = controlplane.ParseClusterConfiguration([]byte(text.original))
		}
	}
	if text, isThere := found[kubeletDocument]; isThere {
		o.Kubelet, problems[2] = kubelet.ParseFields([]byte(text.current))
		if text.saved {
			o.KubeletBaseline, problems[3] = kubelet.ParseFields([]byte(text.original))
		}
	}
	for i, err := range problems {
		switch document := documents()[i/2]; {
		case err == nil:
		case i%2 == 1:
			return o, fmt.Errorf("the original %s, in ConfigMap %s/%s: %w", document, metav1.NamespaceSystem, joinsBaseline, err)
		default:
			return o, fmt.Errorf("%s: %w", document, err)
		}
	}
	return o, nil
}
