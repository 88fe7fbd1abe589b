package inpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func inCluster(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	return made.version(ctx, s, e)
}

// sidecarLimit is how long kubectl may take to listen: no probe of a kubelet reaches its loopback address.
const sidecarLimit = 20 * time.Second

func sidecar(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	query := map[string]string{"host": "127.0.0.1", "port": proxyPort, "protocol": "http", "request": "version"}
	var said string
	err := wait.Until(ctx, "kubectl proxy to answer", wait.Options{Limit: sidecarLimit}, func(ctx context.Context) error {
		text, err := s.Client.CoreV1().Pods(s.Namespace).
			ProxyGet("http", made.app.Name, fmt.Sprint(clientPort), "dial", query).DoRaw(ctx)
		if err != nil {
			return err
		}
		var dialed struct{ Responses, Errors []string }
		if err := json.Unmarshal(text, &dialed); err != nil {
			return fmt.Errorf("the other container answered %q", text)
		}
		if len(dialed.Responses) != 1 {
			return fmt.Errorf("asking it failed: %s", strings.Join(dialed.Errors, ", "))
		}
		said = dialed.Responses[0]
		return nil
	})
	if err != nil {
		return err
	}
	return noteVersion(e, "in the other container, GET http://127.0.0.1:"+proxyPort+"/version", said)
}

// readyLimit leaves time for the kubelet to pull a client's image.
const readyLimit = 3 * time.Minute

func goClient() suite.Check {
	return suite.Check{
		ID:       area + "go-client",
		Sentence: "a program with Kubernetes' Go library asks the API from a pod, without any configuration",
		Answers:  []string{"A4", "A6"},
		Limit:    suite.SharedLimit,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			container := clientContainer(s)
			container.Args, container.ReadinessProbe = []string{"inclusterclient", "--poll-interval=1"}, nil
			if err := start(ctx, s, basePod(s, "in-pod-go", container)); err != nil {
				return err
			}
			return wait.Until(ctx, "the Go client's calls", wait.Options{Limit: readyLimit}, func(ctx context.Context) error {
				log, err := logOf(ctx, s, "in-pod-go")
				if err != nil {
					return err
				}
				if strings.Contains(log, "status=failed") || strings.Contains(log, "authz_header=<empty>") {
					return wait.Final(fmt.Errorf("a call failed: %s", log))
				}
				// It says so only of calls that fail, and makes one after the other.
				ended := strings.Count(log, "calling /healthz") - 1
				if ended < 2 || strings.Count(log, "authz_header=") < 2 {
					return fmt.Errorf("its log is %q", log)
				}
				e.Note("the client asked for /healthz with its token, %d times, and no call failed", ended)
				return nil
			})
		},
	}
}

// pythonScript asks as the library's own example for pods does.
const pythonScript = `
from kubernetes import client, config
config.load_incluster_config()
print(client.VersionApi().get_code().git_version)
`

func pythonClient() suite.Check {
	return suite.Check{
		ID:       area + "python-client",
		Sentence: "a program with Kubernetes' Python library asks the API from a pod, without any configuration",
		Answers:  []string{"A4", "A6"},
		Limit:    suite.SharedLimit,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			if s.Images.Python == "" {
				return suite.Skip("no -python-image was given")
			}
			pod := basePod(s, "in-pod-python", corev1.Container{
				Name: client, Image: s.Images.Python, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"python3", "-c", pythonScript},
			})
			pod.Spec.RestartPolicy = corev1.RestartPolicyNever
			if err := start(ctx, s, pod); err != nil {
				return err
			}
			err := wait.Until(ctx, "the Python client to end", wait.Options{Limit: readyLimit}, func(ctx context.Context) error {
				return succeeded(ctx, s, pod.Name)
			})
			if err != nil {
				return err
			}
			log, err := logOf(ctx, s, pod.Name)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(log, "v") {
				return fmt.Errorf("the Python client wrote %q, which is no apiserver's version", log)
			}
			e.Note("the Python client was told the version %s", strings.TrimSpace(log))
			return nil
		},
	}
}

func succeeded(ctx context.Context, s *suite.Subject, name string) error {
	found, err := s.Client.CoreV1().Pods(s.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	switch found.Status.Phase {
	case corev1.PodSucceeded:
		return nil
	case corev1.PodFailed:
		log, err := logOf(ctx, s, name)
		return wait.Final(errors.Join(fmt.Errorf("it failed: %s", log), err))
	}
	return fmt.Errorf("it is %s: %v", found.Status.Phase, found.Status.ContainerStatuses)
}

// start makes a pod of an account of its own name.
func start(ctx context.Context, s *suite.Subject, pod *corev1.Pod) error {
	if err := s.MakeAccount(ctx, pod.Name); err != nil {
		return err
	}
	pod.Spec.ServiceAccountName = pod.Name
	_, err := s.Client.CoreV1().Pods(s.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

func logOf(ctx context.Context, s *suite.Subject, name string) (string, error) {
	text, err := s.Client.CoreV1().Pods(s.Namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(ctx)
	return string(text), err
}
