package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// api is a cluster without nodes, as far as a first look goes.
type api struct {
	version version.Info
	denied  map[string]bool // rights, as describeRight names them
	refuses bool            // whoever asks
}

func (a api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(answer any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
	switch {
	case a.refuses:
		w.WriteHeader(http.StatusUnauthorized)
		answer(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
			Message: "Unauthorized", Reason: metav1.StatusReasonUnauthorized, Code: http.StatusUnauthorized,
		})
	case r.URL.Path == "/version":
		answer(a.version)
	case r.URL.Path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		var review authorizationv1.SelfSubjectAccessReview
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Status.Allowed = !a.denied[describeRight(*review.Spec.ResourceAttributes)]
		answer(review)
	case r.URL.Path == "/api/v1/nodes":
		answer(corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}})
	case r.URL.Path == "/api/v1/namespaces/kube-system/pods":
		answer(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}})
	default:
		http.NotFound(w, r)
	}
}

func kubernetes1(minor string) version.Info {
	return version.Info{Major: "1", Minor: minor, GitVersion: "v1." + minor + ".0"}
}

// kubeconfig is a file that leads to an address.
func kubeconfig(t *testing.T, address string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: address}},
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c"}},
		CurrentContext: "c",
	}, file))
	return file
}

func TestWhatCanNotBeCheckedIsRefusedInASentenceBeforeAnythingIsMade(t *testing.T) {
	oldest := fmt.Sprint(settings.OldestMinor)
	tests := map[string]struct {
		api    api
		reason string // after the cluster's address; empty if it can be checked
	}{
		"the oldest version":                      {api{version: kubernetes1(oldest)}, ""},
		"a version as some clouds name it":        {api{version: kubernetes1(oldest + "+")}, ""},
		"a version that is too old":               {api{version: kubernetes1("33")}, " runs Kubernetes v1.33.0; the suite checks 1.34 and later"},
		"a version of the future":                 {api{version: version.Info{Major: "2", Minor: "0", GitVersion: "v2.0.0"}}, " has a version that isn't known: v2.0.0"},
		"what is no cluster":                      {api{version: version.Info{}}, " has a version that isn't known: "},
		"a cluster that doesn't know who asks":    {api{refuses: true}, " doesn't answer: the server has asked for the client to provide credentials"},
		"one that lets the suite do too little":   {api{kubernetes1(oldest), map[string]bool{"create pods/exec": true, "impersonate users": true}, false}, " it may not create pods/exec, impersonate users"},
		"one that doesn't let it remove its mess": {api{kubernetes1(oldest), map[string]bool{"delete namespaces": true}, false}, " it may not delete namespaces"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.api)
			t.Cleanup(server.Close)
			subject, err := Connect(t.Context(), Options{Kubeconfig: kubeconfig(t, server.URL)})
			if test.reason == "" {
				require.NoError(t, err)
				assert.Equal(t, test.api.version.GitVersion, subject.Version)
				return
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), "the cluster at "+server.URL+test.reason)
			assert.NotContains(t, err.Error(), "\n", "it is one sentence")
		})
	}
}

func TestAClusterThatCanNotBeReachedIsRefusedInASentence(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := Connect(t.Context(), Options{Kubeconfig: kubeconfig(t, server.URL)})
	require.ErrorContains(t, err, "the cluster at "+server.URL+" doesn't answer: ")
	require.ErrorContains(t, err, "connection refused")

	missing := filepath.Join(t.TempDir(), "none")
	_, err = Connect(t.Context(), Options{Kubeconfig: missing})
	require.ErrorContains(t, err, "finding a cluster in the kubeconfig: stat "+missing)
	require.ErrorContains(t, err, "name one by -kubeconfig and -context, or -kind")

	_, err = Connect(t.Context(), Options{Kubeconfig: kubeconfig(t, server.URL), Context: "another"})
	require.ErrorContains(t, err, `finding a cluster in the kubeconfig: context "another" does not exist; name one by -kubeconfig and -context`)
}
