package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// steadyClient asks the API for something small from outside the cluster, by a new connection each time, until it is
// stopped.
type steadyClient struct {
	cancel context.CancelFunc
	done   chan steadyReport
}

// steadyReport is what became of a steady client's requests.
type steadyReport struct {
	requests int
	failures []string
	longest  time.Duration // between two answers
}

func (r steadyReport) String() string {
	return fmt.Sprintf("%d requests, %d failed, longest gap %s", r.requests, len(r.failures), r.longest.Round(time.Millisecond))
}

func startSteadyClient(ctx context.Context, t *testing.T, s *suite) *steadyClient {
	t.Helper()
	config, err := s.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	tlsConfig, err := rest.TLSConfigFor(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctx)
	client := &steadyClient{cancel: cancel, done: make(chan steadyReport, 1)}
	httpClient := &http.Client{
		Transport: &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true},
		Timeout:   10 * time.Second,
	}
	go func() { client.done <- ask(ctx, httpClient, config.Host+"/api/v1/namespaces/default") }()
	return client
}

// ask is paced, so that the client is a client and no load test.
func ask(ctx context.Context, client *http.Client, url string) steadyReport {
	var report steadyReport
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	last := time.Now()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return steadyReport{failures: []string{err.Error()}}
		}
		response, err := client.Do(request)
		if ctx.Err() != nil {
			return report
		}
		report.requests++
		switch {
		case err != nil:
			report.failures = append(report.failures, err.Error())
		default:
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				report.failures = append(report.failures, response.Status)
				break
			}
			report.longest = max(report.longest, time.Since(last))
			last = time.Now()
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return report
		}
	}
}

func (c *steadyClient) stop() steadyReport {
	c.cancel()
	return <-c.done
}
