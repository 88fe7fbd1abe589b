// Command podnet is the default network of a node image built from source:
// it stands in for kindnet. On each node it writes a CNI configuration for the
// node's pod subnets, masquerades what leaves the pods for elsewhere, and keeps
// routes to the other nodes' pod subnets.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "podnet: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	api, err := newAPI(os.Getenv("CONTROL_PLANE_ENDPOINT"))
	if err != nil {
		return err
	}
	self := os.Getenv("NODE_NAME")
	if err := masquerade(ctx, strings.Split(os.Getenv("POD_SUBNET"), ",")); err != nil {
		return err
	}
	node := &network{self: self, confDir: "/etc/cni/net.d", mtu: mtu("eth0")}
	for ctx.Err() == nil {
		// A watch without a resource version starts with every object there is
		// (Kubernetes API concepts, "Efficient detection of changes").
		err := api.watchNodes(ctx, func(e event) error { return node.take(ctx, e) })
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "podnet: watch ended: %v\n", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}
