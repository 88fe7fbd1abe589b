package kubeletpaths

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// residual shows what no setting of an apiserver can switch off (Kubernetes v1.37.1, pkg/registry/core/pod/strategy.go,
// LogLocation).
func residual() suite.Check {
	return suite.Check{
		ID:       area + "logs-unverified-on-request",
		Sentence: "who may read logs may still ask for them without verification of the kubelet, and metrics show that it was done",
		Answers:  []string{"C3"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			pod := s.Pod(s.LastNode())
			text, err := pod.Log(ctx, &corev1.PodLogOptions{InsecureSkipTLSVerifyBackend: true})
			if err != nil {
				return err
			}
			if len(text) == 0 {
				return fmt.Errorf("the log of the pod on node %s is empty", pod.Node)
			}
			metrics, err := s.Client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(metrics)) {
				if strings.HasPrefix(line, "kube_apiserver_pod_logs_insecure_backend_total{usage=\"skip_tls_allowed\"}") {
					e.Unsafe("kubectl logs --insecure-skip-tls-verify-backend was served unverified (%d %s); %s",
						http.StatusOK, http.StatusText(http.StatusOK), strings.TrimSpace(line))
					return nil
				}
			}
			if controls, err := s.ControlPlanes(); err == nil && len(controls) == 1 {
				return fmt.Errorf("the apiserver's metrics don't show it")
			}
			e.Unsafe("kubectl logs --insecure-skip-tls-verify-backend was served unverified; another apiserver's metrics show it")
			return nil
		},
	}
}
