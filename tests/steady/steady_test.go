package steady

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

func TestEachRequestIsMadeByANewConnectionWithCredentials(t *testing.T) {
	var connections, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/api/v1/namespaces/default" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)

	client, err := Start(t.Context(), Options{
		Config: &rest.Config{Host: server.URL, BearerToken: "secret"}, Pace: time.Millisecond,
	})
	require.NoError(t, err)
	answered(t, client, 10)
	report := client.Stop()

	require.Empty(t, report.Failures)
	require.GreaterOrEqual(t, report.Requests, 10)
	require.GreaterOrEqual(t, connections.Load(), requests.Load())
}

func TestAnAnswerThatIsNoSuccessOrBreaksOffIsAFailure(t *testing.T) {
	for name, serve := range map[string]struct {
		handler http.HandlerFunc
		failure string
	}{
		"a refusal": {
			func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "shutting down", http.StatusServiceUnavailable)
			},
			"503 Service Unavailable: shutting down\n",
		},
		"half an answer": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10")
				_, _ = fmt.Fprint(w, "half")
			},
			"unexpected EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(serve.handler)
			t.Cleanup(server.Close)
			client, err := Start(t.Context(), Options{Config: &rest.Config{Host: server.URL}, Pace: time.Millisecond})
			require.NoError(t, err)
			answered(t, client, 2)
			report := client.Stop()
			require.Len(t, report.Failures, report.Requests)
			require.Equal(t, serve.failure, report.Failures[0].Error)
		})
	}
}

func answered(t *testing.T, client *Client, count int) {
	t.Helper()
	what := fmt.Sprintf("%d answers", count)
	options := wait.Options{Limit: 30 * time.Second, Every: 5 * time.Millisecond}
	require.NoError(t, wait.Until(t.Context(), what, options, func(context.Context) error {
		if found := len(client.Answers()); found < count {
			return fmt.Errorf("only %d", found)
		}
		return nil
	}))
}

func TestAReportCountsWhatWasAskedInItsWindow(t *testing.T) {
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	good := func(second int) Answer { return Answer{Asked: at(second)} }
	bad := func(second int) Answer { return Answer{Asked: at(second), Error: "refused"} }
	answers := []Answer{good(1), good(2), bad(4), bad(5), good(8), bad(9), good(10), good(11)}
	for name, c := range map[string]struct {
		window          Window
		requests        int
		failures        int
		longest, outage time.Duration
	}{
		"all of it":                               {Window{at(1), at(12)}, 8, 3, 6 * time.Second, 4 * time.Second},
		"nothing failed":                          {Window{at(10), at(12)}, 2, 0, time.Second, 0},
		"its end counts for the gap":              {Window{at(1), at(4)}, 2, 0, 2 * time.Second, 0},
		"its beginning counts for the gap":        {Window{at(5), at(9)}, 2, 1, 3 * time.Second, 3 * time.Second},
		"an outage may last beyond it":            {Window{at(1), at(6)}, 4, 2, 4 * time.Second, 2 * time.Second},
		"no answers are no success: all is a gap": {Window{at(20), at(50)}, 0, 0, 30 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			report := Summarize(answers, c.window)
			require.Equal(t, c.requests, report.Requests)
			require.Len(t, report.Failures, c.failures)
			require.Equal(t, c.longest, report.Longest)
			require.Equal(t, c.outage, report.Outage)
		})
	}
}
