package faults

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// relay is a socket by which a provider reaches the engine. Cut, it is what an engine that restarts is to a provider:
// all connections end, and none can be made. The machine's engine itself is not this test's to restart: other clusters'
// nodes may end with it.
type relay struct {
	path   string
	engine string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
}

func newRelay(t *testing.T, engine string) *relay {
	t.Helper()
	folder, err := os.MkdirTemp("", "faults") //nolint:usetesting // a socket's path may not be as long as a test's folder's
	require.NoError(t, err)
	r := &relay{path: filepath.Join(folder, "engine.sock"), engine: engine, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		r.cut()
		assert.NoError(t, os.RemoveAll(folder))
	})
	require.NoError(t, r.mend())
	return r
}

// engineSocket is where the engine listens.
func engineSocket(ctx context.Context, t *testing.T) string {
	t.Helper()
	address := os.Getenv("DOCKER_HOST")
	if address == "" {
		said, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
		if err != nil {
			t.Skipf("the engine is no docker whose address could be asked for: %v", err)
		}
		address = strings.TrimSpace(string(said))
	}
	socket, isSocket := strings.CutPrefix(address, "unix://")
	if !isSocket {
		t.Skipf("the engine is at %s, which is no local socket", address)
	}
	return socket
}

func (r *relay) address() string { return "unix://" + r.path }

// mend lets connections be made.
func (r *relay) mend() error {
	listener, err := net.Listen("unix", r.path)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go r.forward(client)
		}
	}()
	return nil
}

// cut ends all connections, and removes the socket.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		_ = r.listener.Close()
		r.listener = nil
	}
	for connection := range r.open {
		_ = connection.Close()
	}
}

func (r *relay) forward(client net.Conn) {
	server, err := net.Dial("unix", r.engine)
	if err != nil {
		_ = client.Close()
		return
	}
	r.keep(client, server)
	defer r.drop(client, server)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		copyHalf(client, server)
	}()
	copyHalf(server, client)
	<-answered
}

// copyHalf passes the end of one direction on, and leaves the other open.
func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.UnixConn); ok {
		_ = half.CloseWrite()
	}
}

func (r *relay) keep(connections ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, connection := range connections {
		r.open[connection] = true
		if r.listener == nil { // it was cut meanwhile
			_ = connection.Close()
		}
	}
}

func (r *relay) drop(connections ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, connection := range connections {
		_ = connection.Close()
		delete(r.open, connection)
	}
}

// engineGone takes the engine away until the apply has given up.
func (s *suite) engineGone(ctx context.Context, t *testing.T) {
	t.Helper()
	r := newRelay(t, engineSocket(ctx, t))
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	a := s.start(ctx, t, order{Settings: everything(), LockLimit: 3 * time.Second}, "DOCKER_HOST="+r.address())
	a.reach(ctx, t, begins(apply.ReplaceAPIServer, replacing))
	r.cut()
	ended := a.finish(ctx, t)

	t.Log(ended.Error)
	r.requireMissed(t, ended)
	assert.Empty(t, ended.Undone)
	assert.Contains(t, ended.UndoErr, "for the nodes of cluster "+s.name+", to undo what was done")
	assert.Contains(t, ended.UndoErr, r.address())
	requireOldServer()
	assert.Contains(t, s.repair(ctx, t).note(apply.Resumes), "an apply by process "+strconv.Itoa(a.pid()))
	requireAllAnswered(t, requests)
}

// engineRestarted takes the engine away until the step has failed. The lock went with the connection, and is taken again.
func (s *suite) engineRestarted(ctx context.Context, t *testing.T) {
	t.Helper()
	r := newRelay(t, engineSocket(ctx, t))
	requests, requireOldServer := s.ask(ctx, t), s.unchanged(ctx, t)
	a := s.start(ctx, t, order{Settings: everything()}, "DOCKER_HOST="+r.address())
	a.reach(ctx, t, begins(apply.ReplaceAPIServer, replacing))
	r.cut()
	a.reach(ctx, t, func(p apply.Progress) bool { return p.Event == apply.Failed })
	require.NoError(t, r.mend())
	ended := a.finish(ctx, t)

	t.Log(ended.Error)
	r.requireMissed(t, ended)
	assert.Empty(t, ended.UndoErr)
	requireOldServer()
	s.requireStock(ctx, t)
	assert.Empty(t, s.repair(ctx, t).note(apply.Resumes))
	requireAllAnswered(t, requests)
}

const replacing = "replace the kube-apiserver"

// requireMissed sees that an apply ended because this was cut. Every client has words of its own for that.
func (r *relay) requireMissed(t *testing.T, ended outcome) {
	t.Helper()
	require.NotNil(t, ended.Step)
	assert.Equal(t, apply.ReplaceAPIServer, ended.Step.Kind)
	assert.Equal(t, replacing, ended.Phase)
	require.Contains(t, ended.Error, r.address())
}

func TestACutRelayEndsWhatGoesThroughItAndAnotherCanFollow(t *testing.T) {
	engine, err := net.Listen("unix", newRelay(t, "").path+".real")
	require.NoError(t, err)
	t.Cleanup(func() { _ = engine.Close() })
	go func() {
		for {
			connection, err := engine.Accept()
			if err != nil {
				return
			}
			go copyHalf(connection, connection)
		}
	}()
	r := newRelay(t, engine.Addr().String())
	client, err := net.Dial("unix", r.path)
	require.NoError(t, err)
	said := make([]byte, len("hello"))
	echo := func() error {
		if _, err := io.WriteString(client, "hello"); err != nil {
			return err
		}
		_, err := io.ReadFull(client, said)
		return err
	}
	require.NoError(t, echo())

	r.cut()
	_, err = client.Read(said)
	require.ErrorIs(t, err, io.EOF)
	_, err = net.Dial("unix", r.path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, r.mend())
	client, err = net.Dial("unix", r.path)
	require.NoError(t, err)
	require.NoError(t, echo())
}
