package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes/scheme"
)

// checkReady asks the apiserver itself, not a load balancer, whether it is ready.
func checkReady(ctx context.Context, target Target, server instance) error {
	client, err := server.client(ctx, target)
	if err != nil {
		return err
	}
	defer client.close()
	return askReady(ctx, client, server)
}

// needless are the checks that say nothing of a cluster that runs already: each apiserver looks, for a second or more
// from its start, whether the default roles and priority classes are missing (Kubernetes v1.37.1,
// pkg/registry/rbac/rest/storage_rbac.go, pkg/registry/scheduling/rest/storage_scheduling.go).
var needless = []string{"poststarthook/rbac/bootstrap-roles", "poststarthook/scheduling/bootstrap-system-priority-classes"}

func askReady(ctx context.Context, client apiClient, server instance) error {
	request := client.Discovery().RESTClient().Get().AbsPath("/readyz")
	for _, check := range needless {
		request.Param("exclude", check)
	}
	if err := request.Do(ctx).Error(); err != nil {
		return fmt.Errorf("GET /readyz of the %s on node %s: %w", server.container, server.node.Name(), err)
	}
	return nil
}

// checkReach makes the apiserver talk to a kubelet in every way.
func checkReach(ctx context.Context, client apiClient, server instance, peer Node) error {
	if err := checkProxy(ctx, client, server, peer); err != nil {
		return err
	}
	return checkStreams(ctx, client, server, peer)
}

// checkProxy asks for the kubelet's health through the node proxy, which uses the verified kubelet connection whatever else
// is configured.
func checkProxy(ctx context.Context, client apiClient, server instance, peer Node) error {
	request := client.CoreV1().RESTClient().Get().Resource("nodes").Name(peer.Name()).SubResource("proxy", "healthz")
	// DoRaw would keep from us what the apiserver says of the kubelet.
	if err := request.Do(ctx).Error(); err != nil {
		return fmt.Errorf("the %s on node %s can't reach the kubelet of node %s: %w",
			server.container, server.node.Name(), peer.Name(), err)
	}
	return nil
}

// checkStreams reads a line of a log, and runs a command, in any running container on the node, if there is one.
func checkStreams(ctx context.Context, client apiClient, server instance, peer Node) error {
	err := tryStreams(ctx, client, peer.Name())
	if err != nil {
		err = fmt.Errorf("through the %s on node %s: %w", server.container, server.node.Name(), err)
	}
	return err
}

func tryStreams(ctx context.Context, client apiClient, nodeName string) error {
	pod, container, err := containerOn(ctx, client, nodeName)
	if err != nil || pod == nil {
		return err
	}
	lines := int64(1)
	options := &corev1.PodLogOptions{Container: container, TailLines: &lines}
	if err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Do(ctx).Error(); err != nil {
		return fmt.Errorf("reading the log of pod %s on node %s: %w", pod.Name, nodeName, err)
	}
	return runIn(ctx, client, pod, container)
}

// checkExec runs a command alone, for which an apiserver opens a connection that it uses for nothing else.
func checkExec(ctx context.Context, client apiClient, nodeName string) error {
	pod, container, err := containerOn(ctx, client, nodeName)
	if err != nil || pod == nil {
		return err
	}
	return runIn(ctx, client, pod, container)
}

func runIn(ctx context.Context, client apiClient, pod *corev1.Pod, container string) error {
	if err := tryExec(ctx, client, pod, container); err != nil {
		return fmt.Errorf("exec into pod %s on node %s: %w", pod.Name, pod.Spec.NodeName, err)
	}
	return nil
}

// containerOn returns any container that runs on the node; nil if none does.
func containerOn(ctx context.Context, client apiClient, nodeName string) (*corev1.Pod, string, error) {
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"spec.nodeName": nodeName, "status.phase": string(corev1.PodRunning)}.String(),
	})
	if err != nil {
		return nil, "", err
	}
	pod, container := someContainer(pods.Items)
	return pod, container, nil
}

// someContainer prefers pods that no swap touches.
func someContainer(pods []corev1.Pod) (*corev1.Pod, string) {
	isStatic := func(pod corev1.Pod) bool { return pod.Annotations["kubernetes.io/config.mirror"] != "" }
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		if isStatic(a) == isStatic(b) {
			return 0
		} else if isStatic(b) {
			return -1
		}
		return 1
	})
	for i, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Running != nil && pod.DeletionTimestamp == nil {
				return &pods[i], container.Name
			}
		}
	}
	return nil, ""
}

// execStatusChannel is the stream of an exec session on which its end is told (Kubernetes v1.37.1,
// staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go).
const execStatusChannel = 3

// tryExec runs a command that needs not exist: it is the kubelet that says so, and to have heard that is what counts.
// client-go's executors can't be told how to dial.
func tryExec(ctx context.Context, client apiClient, pod *corev1.Pod, container string) error {
	request := client.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: container, Command: []string{"true"}, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec)
	dialer := websocket.Dialer{
		NetDialContext: client.dial, TLSClientConfig: client.tls, HandshakeTimeout: probeLimit,
		Subprotocols: []string{"v5.channel.k8s.io"},
	}
	session, response, err := dialer.DialContext(ctx, webSocketURL(request.URL()), nil)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err != nil {
		return errors.Join(err, explainRefusal(response))
	}
	defer func() { _ = session.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := session.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	for {
		_, message, err := session.ReadMessage()
		if err != nil {
			return fmt.Errorf("the session ended before the kubelet told how the command did: %w", err)
		}
		if len(message) > 0 && message[0] == execStatusChannel {
			return nil
		}
	}
}

func webSocketURL(u *url.URL) string { return "wss" + strings.TrimPrefix(u.String(), "https") }

// explainRefusal returns what the apiserver said in place of opening a session.
func explainRefusal(response *http.Response) error {
	if response == nil {
		return nil
	}
	const enough = 2048
	text := make([]byte, enough)
	count, _ := response.Body.Read(text)
	return fmt.Errorf("%s: %s", response.Status, text[:count])
}
