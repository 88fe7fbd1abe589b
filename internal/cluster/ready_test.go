package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestWaitReady(t *testing.T) {
	t.Parallel()
	ready := func(name string) corev1.Node {
		return node(name, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue})
	}
	starting := node("b", corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "cni plugin not initialized",
	})
	for name, test := range map[string]struct {
		answers [][]corev1.Node // one after the other, the last for ever
		want    []NodeProblem
	}{
		"all nodes are Ready":                  {answers: [][]corev1.Node{{ready("a"), ready("b")}}},
		"the last node becomes Ready later":    {answers: [][]corev1.Node{{}, {ready("a")}, {ready("a"), starting}, {ready("b"), ready("a")}}},
		"a node says why it isn't Ready":       {[][]corev1.Node{{ready("a"), starting}}, []NodeProblem{{"b", "Ready is False: KubeletNotReady: cni plugin not initialized"}}},
		"a node never registers":               {[][]corev1.Node{{ready("b")}}, []NodeProblem{{"a", "it has not registered with the API"}}},
		"a node has no condition":              {[][]corev1.Node{{ready("a"), node("b")}}, []NodeProblem{{"b", "it has no Ready condition yet"}}},
		"a node that isn't ours does not help": {[][]corev1.Node{{ready("a"), ready("c")}}, []NodeProblem{{"b", "it has not registered with the API"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := waitFor(t, func(asked int) (int, any) {
				return http.StatusOK, corev1.NodeList{Items: test.answers[min(asked, len(test.answers)-1)]}
			})
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			var notReady *NotReadyError
			require.ErrorAs(t, err, &notReady)
			assert.Equal(t, test.want, notReady.Nodes)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func TestWaitReadySaysThatTheAPIDoesNotAnswer(t *testing.T) {
	t.Parallel()
	err := waitFor(t, func(int) (int, any) {
		return http.StatusInternalServerError, metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Message: "etcd is away",
		}
	})
	require.ErrorContains(t, err, "every node of cluster dev to be Ready")
	require.ErrorContains(t, err, "the API does not answer: etcd is away")
}

// waitFor waits for nodes a and b of an API that answers what it is told to.
func waitFor(t *testing.T, answer func(asked int) (int, any)) error {
	t.Helper()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, body := answer(asked)
		asked++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		assert.NoError(t, json.NewEncoder(w).Encode(body))
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c := &Cluster{name: "dev", nodes: []*Node{{name: "a"}, {name: "b"}}}
	return c.waitReady(ctx, &rest.Config{Host: server.URL})
}

func node(name string, conditions ...corev1.NodeCondition) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: conditions}}
}
