package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// bufferSize is that of a channel's packets.
	bufferSize = 32 << 10
	// flushLimit is how long what came before the other end went may take to be written.
	flushLimit = 30 * time.Second
	// halfOpenLimit is how long a stream whose one direction has ended may be silent in the other.
	halfOpenLimit = 5 * time.Minute
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Socket is a TCP or Unix connection.
type Socket interface {
	net.Conn
	CloseWrite() error
}

// Counted are told of bytes as they go.
type Counted struct{ ToSocket, FromSocket func(int) }

// Join carries a stream between a socket and a channel, each direction until it ends, and closes both in the end. broken
// reports whether the channel's connection has ended, so that who has the socket doesn't take that for the stream's end.
func Join(socket Socket, channel ssh.Channel, requests <-chan *ssh.Request, counted Counted, broken func() bool) {
	go func() { // until the channel is closed in both directions
		ssh.DiscardRequests(requests)
		// What came is still written, unless the rest of it never comes; what would go is for nobody.
		_ = socket.SetReadDeadline(past)
		limit := time.Now().Add(flushLimit)
		if broken() {
			limit = past
		}
		_ = socket.SetWriteDeadline(limit)
	}()
	cut := func() {
		_ = channel.Close()
		_ = socket.SetReadDeadline(past)
	}
	halfOpen := &idle{cut: func() {
		cut()
		_ = socket.SetWriteDeadline(past)
	}}
	defer halfOpen.stop()
	var directions sync.WaitGroup
	directions.Go(func() {
		if carry(channel, socket, halfOpen.noting(counted.FromSocket)) != nil || channel.CloseWrite() != nil {
			cut()
		}
		halfOpen.start()
	})
	err := carry(socket, channel, halfOpen.noting(counted.ToSocket))
	switch {
	case broken():
		abort(socket)
		cut()
	case err != nil || socket.CloseWrite() != nil:
		cut()
	}
	halfOpen.start()
	directions.Wait()
	_ = channel.Close()
	_ = socket.Close()
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// idle cuts a stream off that has been silent for too long since one direction ended: who has gone altogether often looks
// like who has only said all.
type idle struct {
	cut   func()
	mu    sync.Mutex
	timer *time.Timer
}

func (i *idle) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timer == nil {
		i.timer = time.AfterFunc(halfOpenLimit, i.cut)
	}
}

func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timer != nil {
		i.timer.Stop()
	}
}

func (i *idle) noting(counted func(int)) func(int) {
	return func(n int) {
		counted(n)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.timer != nil {
			i.timer.Reset(halfOpenLimit)
		}
	}
}

// carry copies until the source ends, which is no error.
func carry(to io.Writer, from io.Reader, counted func(int)) error {
	buffer, _ := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
			counted(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// abort has the other end of a TCP connection see that it broke, as a Unix socket has no way to.
func abort(socket Socket) {
	if lingering, ok := socket.(interface{ SetLinger(seconds int) error }); ok {
		_ = lingering.SetLinger(0)
	}
}

// Open opens a channel within a context. The library would wait for an answer for ever: what comes too late is closed.
func Open(ctx context.Context, conn ssh.Conn, to DirectTCPIP) (ssh.Channel, <-chan *ssh.Request, error) {
	type opened struct {
		channel  ssh.Channel
		requests <-chan *ssh.Request
		err      error
	}
	answer := make(chan opened)
	go func() {
		channel, requests, err := conn.OpenChannel(ChannelType, ssh.Marshal(to))
		select {
		case answer <- opened{channel, requests, err}:
		case <-ctx.Done():
			if err == nil {
				_ = channel.Close()
				ssh.DiscardRequests(requests)
			}
		}
	}()
	select {
	case o := <-answer:
		return o.channel, o.requests, o.err
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}
