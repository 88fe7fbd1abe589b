// Package nodelogs collects what nodes wrote down, for whoever looks into why a check failed.
package nodelogs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// file is a log. Its path begins with the node's name.
type file struct {
	path string
	read func(context.Context) ([]byte, error)
}

// limit bounds the collecting from a cluster that may answer no more.
const limit = 2 * time.Minute

// Collect writes the logs of every node into a folder: those of kube-system's pods, and where the container engine lets into the
// nodes, the kubelet's and the container runtime's. Keys and tokens are taken out. It collects what it can, also after ctx has ended.
func Collect(ctx context.Context, s *suite.Subject, folder string) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	find := fromAPI
	if _, err := s.Kind(); err == nil {
		find = fromNodes // which needs neither an apiserver nor a way from it to kubelets
	}
	files, err := find(ctx, s)
	problems := []error{err}
	for _, f := range files {
		if err := f.write(ctx, root); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.path, err))
		}
	}
	return errors.Join(problems...)
}

func (f file) write(ctx context.Context, root *os.Root) error {
	text, err := f.read(ctx)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(f.path), 0o700); err != nil {
		return err
	}
	return root.WriteFile(f.path, []byte(suite.Redact(string(text))), 0o600)
}

// Where kubelets keep the logs of pods (Kubernetes v1.37.1, pkg/kubelet/kubelet.go and pkg/kubelet/kuberuntime/helpers.go).
const podLogs = "/var/log/pods"

// at is where a container's log is collected, as kubelets keep it.
func at(node, namespace, pod, uid, container string, restarts int32) string {
	return path.Join(node, "pods", fmt.Sprintf("%s_%s_%s", namespace, pod, uid), container, fmt.Sprintf("%d.log", restarts))
}

// fromAPI finds a container's log, and that of the one before it.
func fromAPI(ctx context.Context, s *suite.Subject) ([]file, error) {
	pods := s.Client.CoreV1().Pods(metav1.NamespaceSystem)
	found, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var files []file
	for _, pod := range found.Items {
		for _, container := range pod.Status.ContainerStatuses {
			for _, previous := range []bool{false, true} {
				number := container.RestartCount
				if previous {
					number--
				}
				if number < 0 {
					continue
				}
				options := &corev1.PodLogOptions{Container: container.Name, Previous: previous}
				files = append(files, file{
					at(pod.Spec.NodeName, pod.Namespace, pod.Name, string(pod.UID), container.Name, number),
					func(ctx context.Context) ([]byte, error) { return pods.GetLogs(pod.Name, options).DoRaw(ctx) },
				})
			}
		}
	}
	return files, nil
}

func fromNodes(ctx context.Context, s *suite.Subject) ([]file, error) {
	kind, err := s.Kind()
	if err != nil {
		return nil, err
	}
	var files []file
	var problems []error
	for _, node := range kind.Nodes() {
		for _, unit := range []string{"kubelet", "containerd"} {
			files = append(files, output(node, path.Join(node.Name(), unit+".log"),
				"journalctl", "--unit="+unit, "--no-pager", "--output=short-iso-precise"))
		}
		list := cluster.Command{Args: []string{
			"find", podLogs, "-path", podLogs + "/" + metav1.NamespaceSystem + "_*", "-name", "*.log",
		}}
		listed, err := node.Run(ctx, list)
		if err != nil {
			problems = append(problems, err)
		}
		for name := range strings.FieldsSeq(string(listed)) {
			files = append(files, output(node, path.Join(node.Name(), "pods", strings.TrimPrefix(name, podLogs)), "cat", name))
		}
	}
	return files, errors.Join(problems...)
}

// output is what a command writes on a node.
func output(node *cluster.Node, path string, command ...string) file {
	return file{path, func(ctx context.Context) ([]byte, error) { return node.Run(ctx, cluster.Command{Args: command}) }}
}
