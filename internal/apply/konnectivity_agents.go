package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// agentsLimit is how long agents may take until those of every node are connected to every server: their image may have to
// be pulled, and they are replaced node by node.
const agentsLimit = 5 * time.Minute

// runKonnectivityAgentsWork has agents on every node that are connected to every server.
type runKonnectivityAgentsWork struct {
	objectsWork
	servers []konnectivity.Server
	want    konnectivity.Cluster
}

func (w *runKonnectivityAgentsWork) phases() []phase {
	return []phase{
		{"give the cluster what agents are made of", w.put},
		{"wait until those of every node are connected to every server", w.verify},
	}
}

func (w *runKonnectivityAgentsWork) put(ctx context.Context) error {
	minor, err := w.minor(ctx)
	if err != nil {
		return err
	}
	w.servers = nil
	for _, node := range w.target.controlPlanes() {
		serving, err := currentServing(ctx, node)
		if err != nil {
			return err
		}
		ca, err := node.ReadFile(ctx, konnectivity.CACert)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, konnectivity.Server{Node: node.Name(), Address: serving.Dialled.Addr(), CA: ca.Data})
	}
	workers := len(w.target.Nodes) - len(w.servers)
	w.want = konnectivity.Objects(konnectivityOptions(w.options.Settings, minor), w.servers, workers)
	if err := w.each(ctx, konnectivityObjects(w.want), func(o ownObject) changing { return o.put }); err != nil {
		return err
	}
	if len(w.want.Roles) > 0 {
		return nil
	}
	// They are a strategy's that was declared before.
	return w.each(ctx, leaseObjects(allKonnectivityObjects()), func(o ownObject) changing { return o.remove })
}

func (w *runKonnectivityAgentsWork) verify(ctx context.Context) error {
	const what = "agents of every node to be connected to every server of the tunnel"
	return withAPI(ctx, w.target, w.node, func(client apiClient) error {
		err := wait.Until(ctx, what, wait.Options{Limit: agentsLimit, Every: time.Second}, func(ctx context.Context) error {
			return w.check(ctx, client)
		})
		if err != nil {
			err = fmt.Errorf("%w%s", err, explainAgents(ctx, client))
		}
		return err
	})
}

// check returns nil when all pods are those that are wanted, and each is connected to every server.
func (w *runKonnectivityAgentsWork) check(ctx context.Context, client apiClient) error {
	for _, set := range w.want.DaemonSets {
		is, err := client.AppsV1().DaemonSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if is.Status.ObservedGeneration < is.Generation || is.Status.UpdatedNumberScheduled < is.Status.DesiredNumberScheduled {
			return fmt.Errorf("DaemonSet %s has %d of %d pods that are as declared",
				set.Name, is.Status.UpdatedNumberScheduled, is.Status.DesiredNumberScheduled)
		}
	}
	found := KonnectivityObservation{Found: w.want}
	var err error
	if found.Connected, err = connectedAgents(ctx, client, w.target); err != nil {
		return err
	}
	var names []string
	for _, node := range w.target.Nodes {
		names = append(names, node.Name())
	}
	if problem := found.unconnected(w.servers, names); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// explainAgents says why pods aren't made, or don't run, as good as it can be had: it explains another error.
func explainAgents(ctx context.Context, client apiClient) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	var reasons []string
	pods, err := agentPods(ctx, client)
	if err != nil {
		return ""
	}
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			if waiting := container.State.Waiting; waiting != nil {
				reasons = append(reasons,
					fmt.Sprintf("pod %s on node %s: %s: %s", pod.Name, pod.Spec.NodeName, waiting.Reason, waiting.Message))
			}
		}
	}
	events, err := client.CoreV1().Events(konnectivity.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": "DaemonSet", "type": corev1.EventTypeWarning}.String(),
	})
	if err == nil {
		for _, event := range events.Items {
			if strings.HasPrefix(event.InvolvedObject.Name, konnectivity.AgentAccount) {
				reasons = append(reasons, fmt.Sprintf("DaemonSet %s: %s: %s", event.InvolvedObject.Name, event.Reason, event.Message))
			}
		}
	}
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	if len(reasons) == 0 {
		return ""
	}
	text := "\n" + strings.Join(reasons, "\n")
	if strings.Contains(text, "failed calling webhook") {
		text += "\nA webhook must agree to every new pod, and can't be asked: if it is reached through the tunnel, declare " +
			"tunnel.mode = \"none\", which takes the tunnel away first, and then \"konnectivity\" again"
	}
	return text
}

// removeKonnectivityAgentsWork removes what a tunnel has in the API. That pods have ended by then isn't waited for: no apiserver
// uses them, and nothing may keep a destroy from coming to its end.
type removeKonnectivityAgentsWork struct{ objectsWork }

func (w *removeKonnectivityAgentsWork) phases() []phase {
	return []phase{{"remove what agents are made of", func(ctx context.Context) error {
		objects := konnectivityObjects(allKonnectivityObjects())
		slices.Reverse(objects)
		what := fmt.Sprintf("the apiserver on node %s to remove what agents are made of", w.node.Name())
		// It may have been replaced a moment ago.
		return wait.Until(ctx, what, wait.Options{Limit: apiLimit, Every: time.Second}, func(ctx context.Context) error {
			err := w.each(ctx, objects, func(o ownObject) changing { return o.remove })
			if err == nil {
				err = withAPI(ctx, w.target, w.node, func(client apiClient) error { return clearProofs(ctx, client) })
			}
			if apierrors.IsForbidden(err) {
				return wait.Final(err)
			}
			return err
		})
	}}}
}
