package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

const beatPace = 100 * time.Millisecond

// write counts a ConfigMap up, by a new connection for each step. A step that failed is tried again: that changes
// nothing where it had been taken after all.
func (l *local) write(ctx context.Context, config *rest.Config) error {
	var number atomic.Int64
	number.Store(1)
	client, err := steady.Start(ctx, steady.Options{
		Config: config, Pace: beatPace,
		Request: func(ctx context.Context, host string) (*http.Request, error) {
			url := fmt.Sprintf("%s/api/v1/namespaces/%s/configmaps/%s", host, observer.Namespace, observer.Beat)
			patch := fmt.Sprintf(`{"data":{%q:"%d"}}`, observer.NumberKey, number.Load())
			request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, strings.NewReader(patch))
			if err == nil {
				request.Header.Set("Content-Type", "application/merge-patch+json")
			}
			return request, err
		},
		Keep: func(answer steady.Answer) {
			if answer.Error == "" {
				number.Add(1)
			}
			l.keep(observer.Record{Answer: &answer})
		},
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	client.Stop()
	return nil
}
