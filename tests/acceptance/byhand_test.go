package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
)

const replaceLimit = 2 * time.Minute

// removeFlagScript takes the flag out of the manifest, and ends the apiserver, for which the kubelet would otherwise
// give it half a minute.
const removeFlagScript = `set -e
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
grep --invert-match -- --kubelet-certificate-authority= "$manifest" >/etc/kubernetes/by-hand.yaml
chmod --reference="$manifest" /etc/kubernetes/by-hand.yaml
mv /etc/kubernetes/by-hand.yaml "$manifest"
crictl --timeout 30s stop --timeout 2 "$(crictl --timeout 30s ps --quiet --state Running --name '^kube-apiserver$')"`

// removeFlag removes --kubelet-certificate-authority from the apiserver, and returns when it runs without.
func removeFlag(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	command := cluster.Command{Args: []string{"sh", "-c", removeFlagScript}}
	_, err := c.ControlPlanes()[0].Run(ctx, command)
	require.NoError(t, err)
	client := clientOf(ctx, t, c)
	options := wait.Options{Limit: replaceLimit, Every: time.Second}
	err = wait.Until(ctx, "the apiserver without the flag", options, func(ctx context.Context) error {
		observed, err := apply.Observe(ctx, apply.On(c), time.Now())
		if err != nil {
			return err
		}
		if file := observed.Nodes[0].APIServer.Trust.File; file != "" {
			return fmt.Errorf("it still runs with %s", file)
		}
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	require.NoError(t, err)
}

// serveStranger makes the worker serve a stranger's certificate.
func serveStranger(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	certificate, err := imposter.Stranger(workerOf(c))
	require.NoError(t, err)
	_, err = imposter.Serve(ctx, c.ControlPlanes()[0], workerOf(c), certificate)
	require.NoError(t, err)
}

func workerOf(c *cluster.Cluster) *cluster.Node { return c.Nodes()[len(c.Nodes())-1] }

// readLog reads the log of the worker's kube-proxy through the apiserver. A kubelet that was just restarted may not know
// the pod yet: that is waited for, and nothing else is.
func readLog(ctx context.Context, t *testing.T, c *cluster.Cluster) (problem error) {
	t.Helper()
	client := clientOf(ctx, t, c)
	found, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=kube-proxy", FieldSelector: "spec.nodeName=" + workerOf(c).Name(),
	})
	require.NoError(t, err)
	require.Len(t, found.Items, 1)
	pod := found.Items[0]
	err = wait.Until(ctx, "the log", wait.Options{Limit: 30 * time.Second}, func(ctx context.Context) error {
		problem = client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).Do(ctx).Error()
		if apierrors.IsNotFound(problem) {
			return problem
		}
		return nil
	})
	require.NoError(t, err)
	return problem
}

func clientOf(ctx context.Context, t *testing.T, c *cluster.Cluster) kubernetes.Interface {
	t.Helper()
	config, err := c.RESTConfig(ctx)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}
