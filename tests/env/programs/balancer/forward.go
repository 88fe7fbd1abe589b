package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// connectLimit is kind's connect_timeout.
const connectLimit = 250 * time.Millisecond

// forward joins a client to a backend. Like Envoy's, it makes one attempt: a backend that doesn't take the connection
// costs the client its own.
func forward(client net.Conn, p *pool) {
	defer client.Close()
	address := p.pick()
	if address == "" {
		return
	}
	backend, err := net.DialTimeout("tcp", address, connectLimit)
	if err != nil {
		fmt.Printf("%s  %v\n", time.Now().Format("15:04:05.000"), err)
		return
	}
	defer backend.Close()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(backend, client) })
	wg.Go(func() { pipe(client, backend) })
	wg.Wait()
}

// pipe copies one direction and passes on its end, so that a half-closed
// connection, which exec and port-forward use, stays open the other way.
func pipe(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil {
		to.Close()
		from.Close()
		return
	}
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
