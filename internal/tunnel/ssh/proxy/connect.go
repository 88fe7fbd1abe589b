package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

const (
	headerLimit = 8 << 10
	headerTime  = 10 * time.Second
	hostLimit   = 253 // of a DNS name
	phraseLimit = 512
)

// Serve answers an apiserver at a socket until the context ends.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: p, ReadHeaderTimeout: headerTime, MaxHeaderBytes: headerLimit, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("waiting for an apiserver at %s: %w", listener.Addr(), err)
	}
	return nil
}

// ServeHTTP answers a CONNECT as apiservers send it, and nothing else.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.Header().Set("Allow", http.MethodConnect)
		http.Error(w, "this proxy answers nothing but CONNECT", http.StatusMethodNotAllowed)
		return
	}
	host, port, err := parseTarget(r.RequestURI)
	if err == nil && r.ContentLength != 0 {
		err = errors.New("a CONNECT has no body")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reached, err := p.reach(r.Context(), host, port)
	if err != nil {
		p.deny(w, net.JoinHostPort(host, strconv.Itoa(int(port))), err)
		return
	}
	defer func() {
		reached.link.open.Leave()
		<-p.connections
	}()
	metrics := p.metrics.of(reached.link.node)
	socket, err := takeOver(w, "HTTP/1.1 200 OK\r\n\r\n")
	if err != nil {
		_ = reached.channel.Close()
		return
	}
	socket.letSpeak()
	metrics.open.Inc()
	defer metrics.open.Dec()
	wire.Join(socket, reached.channel, reached.requests,
		wire.Counted{ToSocket: metrics.fromNode, FromSocket: metrics.toNode}, reached.link.below.Ended)
}

// parseTarget reads what an apiserver dials: an address or a name, and a port.
func parseTarget(text string) (host string, port uint16, err error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errors.New("what is to be reached is no HOST:PORT")
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || number == 0 {
		return "", 0, errors.New("what is to be reached has no port that is one")
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "", 0, errors.New("what is to be reached has a zone, which is another thing on every machine")
		}
		return address.Unmap().String(), uint16(number), nil
	}
	if host == "" || len(host) > hostLimit || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return "", 0, errors.New("what is to be reached is neither an address nor a name")
	}
	return host, uint16(number), nil
}

// reach dials within the limits, and counts how it went.
func (p *Proxy) reach(ctx context.Context, host string, port uint16) (*stream, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limits.Dial, errTimeout)
	defer cancel()
	select {
	case p.connections <- struct{}{}:
	default:
		err := fmt.Errorf("%d connections are open, and no more are let in", cap(p.connections))
		p.metrics.count("", tooMany)
		return nil, &dialError{reason: tooMany, err: err}
	}
	reached, err := p.dial(ctx, host, port)
	if err != nil {
		<-p.connections
	}
	var failed *dialError
	switch {
	case err == nil:
		p.metrics.count(reached.link.node, "")
	case errors.As(err, &failed):
		p.metrics.count(failed.node, failed.reason)
	}
	return reached, err
}

// deny answers so that the reason is in the apiserver's own error, which has the status line and not the body (Kubernetes
// v1.37.1, staging/src/k8s.io/apiserver/pkg/server/egressselector/egress_selector.go, tunnelHTTPConnect).
func (p *Proxy) deny(w http.ResponseWriter, target string, err error) {
	code, reason := http.StatusBadGateway, unreached
	if failed, ok := errors.AsType[*dialError](err); ok {
		reason = failed.reason
	}
	if reason == timedOut {
		code = http.StatusGatewayTimeout
	}
	p.log.Warn("not reached: "+err.Error(), "target", target, "reason", reason)
	phrase := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, err.Error())
	phrase = phrase[:min(len(phrase), phraseLimit)]
	conn, err := takeOver(w, fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s\n", code, phrase, len(phrase)+1, phrase))
	if err == nil {
		_ = conn.Close()
	}
}

// takeOver answers, and returns what is left of the connection.
func takeOver(w http.ResponseWriter, answer string) (*begun, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	socket, ok := conn.(wire.Socket)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("%T is no socket", conn)
	}
	if _, err := conn.Write([]byte(answer)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	early, _ := buffered.Peek(buffered.Reader.Buffered())
	return &begun{Socket: socket, first: early}, nil
}

// firstWord is how long a client has to say something before it hears anything.
const firstWord = 100 * time.Millisecond

// letSpeak reads what a client says first. An apiserver drops a connection of which it reads more than the answer at once,
// as it may where what it dialled speaks before it is spoken to.
func (b *begun) letSpeak() {
	if len(b.first) > 0 {
		return
	}
	_ = b.SetReadDeadline(time.Now().Add(firstWord))
	first := make([]byte, firstSize)
	n, _ := b.Socket.Read(first) // an error comes again
	b.first = first[:n]
	_ = b.SetReadDeadline(time.Time{})
}

const firstSize = 4 << 10 // a TLS client's first message

// begun is a connection of which something was read already.
type begun struct {
	wire.Socket
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		if b.first = b.first[n:]; len(b.first) == 0 {
			b.first = nil
		}
		return n, nil
	}
	return b.Socket.Read(p)
}
