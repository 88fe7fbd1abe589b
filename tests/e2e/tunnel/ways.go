package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// wayLimit is longer than an apiserver waits for a connection.
const wayLimit = 50 * time.Second

const aggregatedAPI = "aggregated API"

// way is one on which an apiserver talks to something on a node.
type way struct {
	name string
	use  func(context.Context) error
}

// ways are all that lead to the worker.
func (l *lab) ways() []way {
	pod := l.podOn(l.worker())
	return append(l.waysTo(l.worker()),
		way{"node proxy", func(ctx context.Context) error { return l.askKubelet(ctx, l.worker()) }},
		way{"pod proxy", func(ctx context.Context) error {
			return l.client.RESTClient().Get().AbsPath(pod.ProxyPath()).Do(ctx).Error()
		}},
		way{"service proxy", l.backend.askService},
		way{"webhook", l.backend.askWebhook},
		way{aggregatedAPI, l.backend.askAPI},
	)
}

// allWork goes every way once.
func (l *lab) allWork(ctx context.Context) error {
	var problems error
	for _, err := range use(ctx, l.ways()) {
		problems = errors.Join(problems, err)
	}
	return problems
}

func (l *lab) waitAllWork(ctx context.Context) error {
	// An aggregated API counts as away until the apiserver looks again, which it does every 30 s at the latest.
	return wait.Until(ctx, "every way to work", wait.Options{Limit: 2 * time.Minute, Every: time.Second}, l.allWork)
}

func (l *lab) askKubelet(ctx context.Context, node *cluster.Node) error {
	return l.client.CoreV1().RESTClient().Get().Resource("nodes").Name(node.Name()).SubResource("proxy", "healthz").Do(ctx).Error()
}

// sessions are logs and exec, which users notice first.
func (l *lab) sessions(node *cluster.Node) []way {
	return slices.DeleteFunc(l.waysTo(node), func(w way) bool { return w.name != "logs" && w.name != "exec over WebSocket" })
}

func (l *lab) waysTo(node *cluster.Node) []way {
	pod := l.podOn(node)
	var all []way
	for _, path := range workload.Paths() {
		all = append(all, way{path.Name, func(ctx context.Context) error { return path.Use(ctx, pod) }})
	}
	return all
}

// use goes all ways at once, and returns what went wrong with each; nil where nothing did.
func use(ctx context.Context, ways []way) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, wayLimit)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	found := map[string]error{}
	for _, w := range ways {
		all.Go(func() {
			err := w.use(ctx)
			if err != nil {
				err = fmt.Errorf("%s: %w", w.name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[w.name] = err
		})
	}
	all.Wait()
	return found
}
