// Command envoy stands in for the load balancer that kind puts in front of
// several control planes, where Envoy's image can not be had. It takes Envoy's
// command line, reads the backends from the file that kind writes for Envoy,
// checks each with an HTTPS request for /healthz every 2 s, as that file asks
// Envoy to, and passes TCP connections to the healthy ones in turn.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// Paths and ports of kind's load balancer (kind v0.33.0,
// pkg/cluster/internal/loadbalancer/config.go).
const (
	clusterFile = "/home/envoy/cds.yaml"
	port        = "6443"
	interval    = 2 * time.Second
)

func main() {
	pool := &pool{}
	go watch(context.Background(), pool, clusterFile)
	// All addresses of both families, as the listener of kind's file.
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go forward(client, pool)
	}
}
