package nodelogs

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"

// subject has a pod whose container restarted once, and whose first log is lost.
func subject(t *testing.T) *suite.Subject {
	pods := corev1.PodList{Items: []corev1.Pod{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "dns", UID: "1-2"},
		Spec:       corev1.PodSpec{NodeName: "worker"},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "server", RestartCount: 1}}},
	}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("previous") == "true":
			http.Error(w, "it is lost", http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "/log"):
			_, _ = io.WriteString(w, "Bearer "+token+" was refused\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(pods)
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return &suite.Subject{Client: client}
}

func TestLogsAreCollectedWithoutSecretsAndWhatIsMissingIsSaid(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logs")
	err := Collect(t.Context(), subject(t), folder)
	require.ErrorContains(t, err, "worker/pods/kube-system_dns_1-2/server/0.log: ")
	text, err := os.ReadFile(filepath.Join(folder, "worker", "pods", "kube-system_dns_1-2", "server", "1.log"))
	require.NoError(t, err)
	assert.Equal(t, "Bearer (token) was refused\n", string(text))
}
