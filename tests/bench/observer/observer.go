// Package observer is a user of the API at one place: it asks steadily, by a new connection for each request, and holds
// two watches: of an object that changes all the time, and of one that never does, like most.
package observer

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// What there must be in the cluster.
const (
	Namespace = "kubecomm-bench"
	Beat      = "beat"  // a ConfigMap whose NumberKey is counted up
	Quiet     = "quiet" // a ConfigMap that nobody changes
	NumberKey = "n"
)

// The held connections of an observer.
const (
	BusyWatch  = "watch"
	QuietWatch = "watch of what never changes"
)

// together is how many requests a second all observers make. A new connection costs a client and an apiserver several
// milliseconds of a processor each, and observers that are a load would measure themselves.
const together = 75

// paceOf is the time between two requests of one of so many observers.
func paceOf(observers int) time.Duration { return time.Duration(observers) * time.Second / together }

const configMaps = "/api/v1/namespaces/" + Namespace + "/configmaps"

// Run observes until the context ends, as one of so many observers. Each record is given to keep, one at a time.
func Run(ctx context.Context, config *rest.Config, observers int, keep func(Record)) error {
	// Held connections are those of an ordinary client: one, over HTTP/2, for all of them.
	held, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	keepOne := func(record Record) {
		mu.Lock()
		defer mu.Unlock()
		keep(record)
	}
	client, err := steady.Start(ctx, steady.Options{
		Config: config, Pace: paceOf(observers), Request: steady.Get(configMaps + "/" + Quiet),
		Keep: func(answer steady.Answer) { keepOne(Record{Answer: &answer}) },
	})
	if err != nil {
		return err
	}
	defer client.Stop()
	var watches sync.WaitGroup
	for thing, object := range map[string]string{BusyWatch: Beat, QuietWatch: Quiet} {
		w := &watch{
			client: held, url: config.Host + configMaps, object: object, thing: thing,
			keep: func(moment Moment) { keepOne(Record{Moment: &moment}) },
		}
		watches.Go(func() { w.run(ctx) })
	}
	watches.Wait()
	return nil
}
