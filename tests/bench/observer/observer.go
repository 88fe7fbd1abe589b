// Package observer is a user of the API at one place: it asks steadily, at one or more of its addresses, by a new connection
// for each request, and holds two watches: of an object that changes all the time, and of one that never does, like most.
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

// together is how many requests a second all clients make. A new connection costs a client and an apiserver several
// milliseconds of a processor each, and clients that are a load would measure themselves.
const together = 75

// paceOf is the time between two requests of one of so many clients.
func paceOf(clients int) time.Duration { return time.Duration(clients) * time.Second / together }

const configMaps = "/api/v1/namespaces/" + Namespace + "/configmaps"

// Options are what an observer does.
type Options struct {
	Config  *rest.Config
	Others  []string // addresses of the API, beside the Config's, of which each has a client of its own
	Clients int      // how many there are in all, of all observers
	Keep    func(Record)
}

// serverName is in the certificate of every apiserver, unlike one or the other of a node's addresses.
const serverName = "kubernetes.default.svc"

// Run observes until the context ends. Records are kept one at a time.
func Run(ctx context.Context, o Options) error {
	// Held connections are those of an ordinary client: one, over HTTP/2, for all of them.
	held, err := rest.HTTPClientFor(o.Config)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	keep := func(record Record) {
		mu.Lock()
		defer mu.Unlock()
		o.Keep(record)
	}
	for _, address := range append([]string{""}, o.Others...) {
		config := rest.CopyConfig(o.Config)
		if address != "" {
			config.Host, config.ServerName = "https://"+address, serverName
		}
		client, err := steady.Start(ctx, steady.Options{
			Config: config, Pace: paceOf(o.Clients), Request: steady.Get(configMaps + "/" + Quiet),
			Keep: func(answer steady.Answer) { keep(Record{Answer: &answer, Of: address}) },
		})
		if err != nil {
			return err
		}
		defer client.Stop()
	}
	var watches sync.WaitGroup
	for thing, object := range map[string]string{BusyWatch: Beat, QuietWatch: Quiet} {
		w := &watch{
			client: held, url: o.Config.Host + configMaps, object: object, thing: thing,
			keep: func(moment Moment) { keep(Record{Moment: &moment}) },
		}
		watches.Go(func() { w.run(ctx) })
	}
	watches.Wait()
	return nil
}
