package steady

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Stages are how long after it was asked a request came how far; 0 where it never did. They tell where a slow one waited:
// for the network, for somebody to accept the connection, or for an answer.
type Stages struct {
	Connected time.Duration `json:"connected,omitempty"`
	Secured   time.Duration `json:"secured,omitempty"`  // the TLS handshake was over
	Answered  time.Duration `json:"answered,omitempty"` // the answer's first byte was there
}

func (s Stages) String() string {
	return fmt.Sprintf("connected after %d ms, TLS after %d ms, first byte after %d ms",
		s.Connected.Milliseconds(), s.Secured.Milliseconds(), s.Answered.Milliseconds())
}

// stopwatch takes the stages of one request. A connection that is given up may still be made later.
type stopwatch struct {
	asked                        time.Time
	connected, secured, answered atomic.Int64
}

func (s *stopwatch) watch(ctx context.Context) context.Context {
	note := func(stage *atomic.Int64) { stage.Store(int64(time.Since(s.asked))) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				note(&s.connected)
			}
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				note(&s.secured)
			}
		},
		GotFirstResponseByte: func() { note(&s.answered) },
	})
}

func (s *stopwatch) stages() Stages {
	return Stages{
		Connected: time.Duration(s.connected.Load()),
		Secured:   time.Duration(s.secured.Load()),
		Answered:  time.Duration(s.answered.Load()),
	}
}
