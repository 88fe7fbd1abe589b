package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

const (
	loadSessions = 200
	loadStream   = 1 << 30 // bytes
	loadLimit    = 5 * time.Minute
	// loadStarting is how many sessions are begun at once: a container runtime that is asked for all of them takes so long for
	// each that some would be given up.
	loadStarting = 16
)

// carriesLoad has many sessions open at once, each of which says and hears things of its own before, while and after a great
// stream comes by the same connection.
func carriesLoad(ctx context.Context, t *testing.T, l *lab, w wall) {
	before := l.memory(ctx, t)
	limited, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	began := time.Now()
	group, groupCtx := errgroup.WithContext(limited)
	pod := l.podOn(l.worker())
	starting := make(chan struct{}, loadStarting)
	allOpen := make(chan struct{})
	var count atomic.Int32
	open := func() {
		if count.Add(1) == loadSessions {
			close(allOpen)
		}
	}
	for i := range loadSessions {
		group.Go(func() error {
			err := converse(groupCtx, pod, i, starting, open, allOpen)
			if err != nil {
				err = fmt.Errorf("session %d: %w", i, err)
			}
			return err
		})
	}
	group.Go(func() error {
		select {
		case <-allOpen:
		case <-groupCtx.Done():
			return groupCtx.Err()
		}
		t.Logf("%d sessions are open after %s", loadSessions, time.Since(began).Round(time.Millisecond))
		streaming := time.Now()
		err := stream(groupCtx, pod)
		t.Logf("a stream of %d MiB went there and back in %s", loadStream>>20, time.Since(streaming).Round(time.Millisecond))
		return err
	})
	require.NoError(t, group.Wait())
	t.Logf("all of it took %s", time.Since(began).Round(time.Millisecond))
	for unit, after := range l.memory(ctx, t) {
		t.Logf("%s: %s", unit, after)
		assert.Equal(t, before[unit].pid, after.pid, "%s is the process that it was", unit)
		assert.Less(t, after.most, after.limit, "%s stays below what it may have", unit)
	}
	requireTunnelAlone(ctx, t, l, w)
}

// converse opens a session, waits for the others to be open, and goes on until it has said all.
func converse(
	ctx context.Context, pod workload.Pod, number int, starting chan struct{}, open func(), allOpen <-chan struct{},
) error {
	const rounds = 8
	select {
	case starting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s := beginTalk(ctx, pod)
	defer s.drop()
	err := s.say(fmt.Appendf(nil, "session %d begins\n", number))
	<-starting
	if err != nil {
		return err
	}
	open()
	select {
	case <-allOpen:
	case <-ctx.Done():
		return ctx.Err()
	}
	random := rand.New(rand.NewPCG(uint64(number), 7))
	for round := range rounds {
		said := fmt.Appendf(nil, "session %d round %d\n", number, round)
		for range random.IntN(4000) {
			said = strconv.AppendUint(said, random.Uint64(), 36)
		}
		if err := s.say(said); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return s.end()
}

// stream sends random bytes to a pod that sends them back, and compares what came with what was sent.
func stream(ctx context.Context, pod workload.Pod) error {
	sent, came := &digest{hash: sha256.New()}, &digest{hash: sha256.New()}
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), loadStream), sent)
	if err := pod.Exec(ctx, workload.Streams{Stdin: source, Stdout: came, Stderr: io.Discard}, "cat"); err != nil {
		return fmt.Errorf("the stream, after %d bytes there and %d back: %w", sent.size, came.size, err)
	}
	if want, got := sent.hash.Sum(nil), came.hash.Sum(nil); came.size != loadStream || !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back of %d, with digest %x, to be %x", came.size, loadStream, got, want)
	}
	return nil
}

type digest struct {
	hash hash.Hash
	size int
}

func (d *digest) Write(p []byte) (int, error) {
	d.size += len(p)
	return d.hash.Write(p)
}

// memory is what a unit has had, in bytes.
type memory struct {
	pid         string
	most, limit int64 // the most that its process had resident, and what the unit may have
}

func (m memory) String() string {
	return fmt.Sprintf("its process had %d MiB at most, of %d MiB that it may have", m.most>>20, m.limit>>20)
}

// memory is that of both ends of the connection to the worker.
func (l *lab) memory(ctx context.Context, t *testing.T) map[string]memory {
	t.Helper()
	all := map[string]memory{}
	for _, node := range []*cluster.Node{l.controlPlane(), l.worker()} {
		units := unitsOf(node)
		unit := units[len(units)-1]
		properties := map[string]string{}
		text, err := said(ctx, node, `systemctl show --property MainPID,MemoryMax "$1"`, unit)
		require.NoError(t, err)
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			properties[name] = value
		}
		status, err := processStatus(ctx, node, unit)
		require.NoError(t, err)
		kib, err := strconv.ParseInt(strings.TrimSuffix(status["VmHWM"], " kB"), 10, 64)
		require.NoError(t, err, "%s: VmHWM: %q", unit, status["VmHWM"])
		limit, err := strconv.ParseInt(properties["MemoryMax"], 10, 64)
		require.NoError(t, err, "%s has a limit: %q", unit, properties["MemoryMax"])
		all[unit] = memory{pid: properties["MainPID"], most: kib << 10, limit: limit}
	}
	return all
}
