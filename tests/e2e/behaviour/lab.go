package behaviour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// The namespaces of clients. The service accounts of the second may read kubelets' metrics, by their group: a kubelet that
// was told so before it first heard of one has nothing else in its caches.
const (
	strangers  = "kubecomm-strangers"
	collectors = "kubecomm-collectors"
)

// Lab is a cluster to ask, of a control plane and a worker.
type Lab struct {
	cluster *cluster.Cluster
	image   string // that pods are made of
	admin   *rest.Config
	client  kubernetes.Interface
	pod     workload.Pod // on the worker
	outside cluster.Stream
}

// NewLab prepares a cluster that nobody has changed since it was made. The image is agnhost.
func NewLab(ctx context.Context, c *cluster.Cluster, image string) (*Lab, error) {
	admin, err := c.RESTConfig(ctx)
	if err != nil {
		return nil, err
	}
	admin.QPS = -1                           // the pairs ask side by side, and none should wait for the others
	admin.WarningHandler = rest.NoWarnings{} // such as of tokens that end earlier than asked for, which is what is looked for
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return nil, err
	}
	l := &Lab{cluster: c, image: image, admin: admin, client: client}
	pods, err := workload.Deploy(ctx, admin, workload.Deployment{Image: image, Nodes: []string{l.worker().Name()}})
	if err != nil {
		return nil, err
	}
	l.pod = pods[0]
	for _, prepare := range []func(context.Context) error{l.admit, l.admitReaders, l.writeWebhooks, l.serveOutside} {
		if err := prepare(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Close ends what serves for the lab. The cluster stays.
func (l *Lab) Close() error {
	if l.outside == nil {
		return nil
	}
	return l.outside.Close()
}

func (l *Lab) controlPlane() *cluster.Node { return l.cluster.Nodes()[0] }

func (l *Lab) worker() *cluster.Node { return l.cluster.Nodes()[1] }

// admit makes the clients' namespaces and rights.
func (l *Lab) admit(ctx context.Context) error {
	for _, name := range []string{strangers, collectors} {
		home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := l.client.CoreV1().Namespaces().Create(ctx, home, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: collectors},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/metrics"}, Verbs: []string{"get"}}},
	}
	if _, err := l.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := l.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: collectors},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: collectors},
		Subjects: []rbacv1.Subject{{
			APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:" + collectors,
		}},
	}, metav1.CreateOptions{})
	return err
}

// Enter brings the cluster into a state. Progress may be nil.
func (l *Lab) Enter(ctx context.Context, state State, progress func(apply.Progress)) error {
	if state == Before {
		return l.loosen(ctx)
	}
	want := l.declared(state)
	want.VerifyKubelets, want.ServingSource = settings.Defaults().VerifyKubelets, settings.Defaults().ServingSource
	_, err := apply.Apply(ctx, apply.On(l.cluster), apply.Options{Settings: want, Now: time.Now, Progress: progress})
	return err
}

// declared also has what a user can't declare.
func (l *Lab) declared(state State) settings.Settings {
	values := map[string]settings.Value{}
	for _, setting := range settings.Managed() {
		for _, pair := range Pairs() {
			if pair.Setting == setting.Name {
				values[setting.Name] = l.withOwnCA(setting, pair.Values.In(state))
			}
		}
	}
	return settings.Of(values)
}

// loosen configures the worker's kubelet by hand.
func (l *Lab) loosen(ctx context.Context) error {
	if err := l.ageCertificate(ctx); err != nil {
		return err
	}
	byHand := l.declared(Before)
	fields := kubelet.Fields{}
	for name, value := range byHand.KubeletFields {
		var err error
		if fields[name], err = json.Marshal(value); err != nil {
			return err
		}
	}
	file, err := l.worker().ReadFile(ctx, kubelet.ConfigFile)
	if err != nil {
		return err
	}
	if file.Data, err = kubelet.Rebase(file.Data, file.Data, slices.Collect(maps.Keys(fields)), fields); err != nil {
		return err
	}
	if err := l.worker().WriteFile(ctx, kubelet.ConfigFile, file); err != nil {
		return err
	}
	if _, err := l.worker().Run(ctx, cluster.Command{Args: []string{"systemctl", "restart", "kubelet"}}); err != nil {
		return fmt.Errorf("restarting the kubelet of node %s: %w", l.worker().Name(), err)
	}
	return l.cluster.WaitReady(ctx)
}
