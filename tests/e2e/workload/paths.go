package workload

import (
	"context"
	"fmt"
	"time"
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
