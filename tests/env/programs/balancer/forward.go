package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// forward joins a client to the first backend that takes the connection.
func forward(client net.Conn, p *pool) {
	defer client.Close()
	for _, address := range p.order() {
		backend, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			continue
		}
		defer backend.Close()
		var wg sync.WaitGroup
		wg.Go(func() { pipe(backend, client) })
		wg.Go(func() { pipe(client, backend) })
		wg.Wait()
		return
	}
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
