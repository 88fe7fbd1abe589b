package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// useLimit bounds one use of a path.
const useLimit = 30 * time.Second

// Path is one way from a client through the apiserver and a kubelet into a pod.
type Path struct {
	Name string
	use  func(context.Context, Pod) error
}

// Paths lists every path: each kind of stream, over each transport that clients have for it.
func Paths() []Path {
	return []Path{
		{"logs", logs},
		{"logs --follow", follow},
		{"exec over WebSocket", execOver(webSocket)},
		{"exec over SPDY", execOver(spdyStream)},
		{"attach over WebSocket", attachOver(webSocket)},
		{"attach over SPDY", attachOver(spdyStream)},
		{"port-forward over WebSocket", forwardOver(webSocketTunnel)},
		{"port-forward over SPDY", forwardOver(spdyTunnel)},
	}
}

// Use goes over the path, there and back. It returns nil only if what was sent arrived at this pod, and what came back
// is its answer.
func (p Path) Use(ctx context.Context, pod Pod) error {
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	if err := p.use(ctx, pod); err != nil {
		return fmt.Errorf("%s to the pod on node %s: %w", p.Name, pod.Node, err)
	}
	return nil
}

// Settled waits until every path to the pod works: a kubelet that was restarted has to learn of its pods again.
func (p Pod) Settled(ctx context.Context, limit time.Duration) error {
	what := fmt.Sprintf("every path to node %s", p.Node)
	return wait.Until(ctx, what, wait.Options{Limit: limit}, func(ctx context.Context) error {
		for _, path := range Paths() {
			if err := path.Use(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}
