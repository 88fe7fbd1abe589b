package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
)

const (
	folderOnNodes = "/var/lib/kubecomm-bench" // which pods see under the same path
	programFile   = folderOnNodes + "/observer"
	recordsFile   = folderOnNodes + "/records"

	account = "observer"
	printer = "printer" // the pod whose log is followed, and in which a command is run
)

// apiserverPort is that of kind's control planes, at their own addresses.
const apiserverPort = "6443"

// otherAddresses are those at which a pod on a node asks for the API, beside the one that pods are told: the IPv6 address of
// the node, or of a control plane where it is none, and other addresses of the kubernetes service. What moves traffic has
// rules of their own for each of them.
func (b *bed) otherAddresses(ctx context.Context, node *cluster.Node) ([]string, error) {
	if node.Role() != cluster.ControlPlane {
		node = b.cluster.ControlPlanes()[0]
	}
	var others []string
	if b.ipFamily != "ipv4" {
		for _, address := range node.Addresses() {
			if address.Is6() {
				others = append(others, net.JoinHostPort(address.String(), apiserverPort))
			}
		}
		if len(others) == 0 {
			return nil, fmt.Errorf("node %s has no IPv6 address, but %s", node.Name(), node.Addresses())
		}
	}
	service, err := b.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, address := range service.Spec.ClusterIPs[1:] { // the first is what pods are told
		others = append(others, net.JoinHostPort(address, strconv.Itoa(int(service.Spec.Ports[0].Port))))
	}
	return others, nil
}

// deploy puts into the cluster what observers look at, an observer on every node, and on the worker a pod that prints.
func (b *bed) deploy(ctx context.Context, program []byte) error {
	if err := b.createObjects(ctx); err != nil {
		return err
	}
	others := map[string][]string{}
	b.clients = 1 // outside
	for _, node := range b.cluster.Nodes() {
		addresses, err := b.otherAddresses(ctx, node)
		if err != nil {
			return err
		}
		others[node.Name()] = addresses
		b.clients += 1 + len(addresses)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, node := range b.cluster.Nodes() {
		group.Go(func() error {
			if err := node.WriteFile(groupCtx, programFile, cluster.File{Data: program, Mode: 0o755}); err != nil {
				return err
			}
			return b.startPod(groupCtx, observerPod(node.Name(), b.clients, others[node.Name()]))
		})
	}
	group.Go(func() error { return b.startPod(groupCtx, printerPod(b.worker().Name())) })
	return group.Wait()
}

func (b *bed) createObjects(ctx context.Context) error {
	home := observer.Namespace
	_, err := b.client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for _, name := range []string{observer.Beat, observer.Quiet} {
		object := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{observer.NumberKey: "0"},
		}
		if _, err := b.client.CoreV1().ConfigMaps(home).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	user := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}
	if _, err := b.client.CoreV1().ServiceAccounts(home).Create(ctx, user, metav1.CreateOptions{}); err != nil {
		return err
	}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "watch"},
		}},
	}
	if _, err := b.client.RbacV1().Roles(home).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: home}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
	}
	_, err = b.client.RbacV1().RoleBindings(home).Create(ctx, binding, metav1.CreateOptions{})
	return err
}

// observerPod takes the node's root, because the folder that it writes to is root's.
func observerPod(node string, clients int, others []string) *corev1.Pod {
	command := append([]string{programFile, recordsFile, strconv.Itoa(clients)}, others...)
	pod := podOn(node, account+"-on-"+node, command...)
	root, kind := int64(0), corev1.HostPathDirectory
	pod.Spec.ServiceAccountName = account
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &root}
	pod.Spec.Volumes = []corev1.Volume{{
		Name:         "bench",
		VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folderOnNodes, Type: &kind}},
	}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "bench", MountPath: folderOnNodes}}
	return pod
}

func printerPod(node string) *corev1.Pod { return podOn(node, printer, "sh", "-c", printScript) }

// printScript prints as long as somebody takes it.
const printScript = `while echo line; do sleep 0.1; done`

func podOn(node, name string, command ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:      node,
			Tolerations:   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			RestartPolicy: corev1.RestartPolicyNever, // an observer that ended has nothing more to say
			Containers: []corev1.Container{{
				Name: "main", Image: os.Getenv(agnhostImageVariable), ImagePullPolicy: corev1.PullIfNotPresent,
				Command: command,
				// Without a share of its own it would be the last to run on a busy machine, and measure that.
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
				},
			}},
		},
	}
}

// startPod also waits until the namespace, which is new, has what pods need.
func (b *bed) startPod(ctx context.Context, pod *corev1.Pod) error {
	pods := b.client.CoreV1().Pods(observer.Namespace)
	created := false
	options := wait.Options{Limit: readyLimit, Every: 500 * time.Millisecond}
	return wait.Until(ctx, fmt.Sprintf("pod %s to run", pod.Name), options, func(ctx context.Context) error {
		if !created {
			if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return err
			}
			created = true
		}
		found, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if found.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("it is %s: %v", found.Status.Phase, found.Status.ContainerStatuses)
		}
		return nil
	})
}
