package apply

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// joinsWork gives kubeadm's ConfigMaps the declared flags and fields, or those that they had before kubecomm.
type joinsWork struct {
	job
	previous texts // before the step; nil if nothing was changed
	next     joining
}

func (w *joinsWork) phases() []phase {
	return []phase{
		{"keep the ConfigMaps", w.keep},
		{"write the ConfigMaps", w.write},
		{"see what every apiserver shows", w.verify},
	}
}

// declared is what is wanted; in a restore, nothing.
func (w *joinsWork) declared() settings.Settings {
	if w.restore {
		return settings.Settings{}
	}
	return w.options.Settings
}

func (w *joinsWork) keep(ctx context.Context) error {
	return w.try(ctx, func(ctx context.Context, client apiClient) error {
		found, err := readDocuments(ctx, client)
		if err != nil {
			return err
		}
		observed, err := parseDocuments(found)
		if err != nil {
			return wait.Final(err)
		}
		w.next = desiredJoins(observed, w.declared())
		if w.previous == nil {
			w.previous = found
		}
		if w.restore {
			return nil
		}
		return saveDocuments(ctx, client, found)
	})
}

// saveDocuments makes the baseline of what has none yet.
func saveDocuments(ctx context.Context, client apiClient, found texts) error {
	data := map[string]string{}
	for document, text := range found {
		if !text.saved {
			data[document.baselineKey()] = text.original
		}
	}
	if len(data) == 0 {
		return nil
	}
	configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	_, err := configMaps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: joinsBaseline, Labels: map[string]string{"app.kubernetes.io/managed-by": "kubecomm"},
			Annotations: map[string]string{"kubernetes.io/description": "What kubeadm's ConfigMaps held before kubecomm " +
				"changed them. To destroy the kubecomm_hardening puts it back, and removes this."},
		},
		Data: data,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var is *corev1.ConfigMap
		if is, err = configMaps.Get(ctx, joinsBaseline, metav1.GetOptions{}); err == nil {
			maps.Copy(data, is.Data)
			is.Data = data
			_, err = configMaps.Update(ctx, is, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s/%s: %w", metav1.NamespaceSystem, joinsBaseline, err)
	}
	return nil
}

func removeBaseline(ctx context.Context, client apiClient) error {
	configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	if err := ignoreNotFound(configMaps.Delete(ctx, joinsBaseline, metav1.DeleteOptions{})); err != nil {
		return fmt.Errorf("removing ConfigMap %s/%s: %w", metav1.NamespaceSystem, joinsBaseline, err)
	}
	return nil
}

func (w *joinsWork) write(ctx context.Context) error {
	return w.rewrite(ctx, w.next, func(document document) string { return w.previous[document].original })
}

// rewrite gives the ConfigMaps managed flags and fields, whatever else somebody changes in them meanwhile.
func (w *joinsWork) rewrite(ctx context.Context, to joining, original func(document) string) error {
	return w.try(ctx, func(ctx context.Context, client apiClient) error {
		configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
		for _, document := range documents() {
			if _, isThere := w.previous[document]; !isThere {
				continue
			}
			found, err := configMaps.Get(ctx, document.configMap, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("reading ConfigMap %s/%s: %w", metav1.NamespaceSystem, document.configMap, err)
			}
			text, err := to.rebase(document, original(document), found.Data[document.key])
			if err != nil {
				return wait.Final(fmt.Errorf("%s: %w", document, err))
			}
			if text == found.Data[document.key] {
				continue
			}
			found.Data[document.key] = text
			if _, err = configMaps.Update(ctx, found, metav1.UpdateOptions{}); err != nil {
				return fmt.Errorf("writing ConfigMap %s/%s: %w", metav1.NamespaceSystem, document.configMap, err)
			}
		}
		return nil
	})
}

func (j joining) rebase(document document, original, current string) (string, error) {
	var data []byte
	var err error
	if document == clusterDocument {
		data, err = controlplane.RebaseClusterConfiguration([]byte(original), []byte(current), j.managed, j.flags)
	} else {
		data, err = kubelet.Rebase([]byte(original), []byte(current), j.managedFields, j.fields)
	}
	return string(data), err
}

func (w *joinsWork) verify(ctx context.Context) error {
	what := "kubeadm's ConfigMaps to be as declared"
	return wait.Until(ctx, what, wait.Options{Limit: apiLimit}, func(ctx context.Context) error {
		for _, node := range w.target.controlPlanes() {
			var found texts
			err := askAPI(ctx, w.target, node, func(ctx context.Context, client apiClient) (err error) {
				found, err = readDocuments(ctx, client)
				return err
			})
			if err != nil {
				return err
			}
			observed, err := parseDocuments(found)
			if err != nil {
				return err
			}
			if problem := joinsProblem(observed, w.declared()); problem != "" {
				return fmt.Errorf("the apiserver on node %s shows others: %s", node.Name(), problem)
			}
		}
		return nil
	})
}

// try asks the step's apiserver until it has done what it is asked for. It may have been replaced a moment ago.
func (w *joinsWork) try(ctx context.Context, do func(context.Context, apiClient) error) error {
	what := fmt.Sprintf("the apiserver on node %s to change kubeadm's ConfigMaps", w.node.Name())
	return withAPI(ctx, w.target, w.node, func(client apiClient) error {
		return wait.Until(ctx, what, wait.Options{Limit: apiLimit}, func(ctx context.Context) error {
			err := do(ctx, client)
			if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
				return wait.Final(err)
			}
			return err
		})
	})
}

// undo gives them what they had before the step, and takes away a baseline that the step made.
func (w *joinsWork) undo(ctx context.Context) error {
	if w.previous == nil {
		return nil
	}
	before := texts{}
	for document, text := range w.previous {
		before[document] = keptText{current: text.current}
	}
	observed, err := parseDocuments(before)
	if err != nil {
		return err
	}
	err = w.rewrite(ctx, w.next.as(observed), func(document document) string { return before[document].current })
	if err != nil || w.previous.anySaved() {
		return err
	}
	return w.try(ctx, removeBaseline)
}

// as gives the same flags and fields the values that they had at a time.
func (j joining) as(then JoinsObservation) joining {
	j.flags = map[string]controlplane.Flags{}
	for component := range j.managed { // none, where there is no ClusterConfiguration
		j.flags[component] = then.Cluster.Flags(component)
	}
	j.fields = then.Kubelet
	return j
}
