package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bigStream is how many MiB one stream carries beside many small ones. KUBECOMM_STREAM_MIB=1024 makes it a GiB.
const bigStream = 256

// memoryLimit is what both ends together may hold meanwhile, besides what they begin with: that of both their units.
const memoryLimit = 512 << 20

func TestTwoHundredSessionsAndAGreatStreamDoNotMix(t *testing.T) {
	const sessions, rounds = 200, 8
	mib := bigStream
	if raceEnabled {
		mib = 16
	}
	if text := os.Getenv("KUBECOMM_STREAM_MIB"); text != "" {
		var err error
		mib, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	l := newLab(t, 1)
	l.target("10.244.1.7:80", echo)
	digests := make(chan [sha256.Size]byte, 1)
	l.target("10.244.1.7:81", func(conn net.Conn) { // sends what it is asked for
		var size [8]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		digest := sha256.New()
		_, _ = io.Copy(io.MultiWriter(conn, digest), io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(binary.BigEndian.Uint64(size[:]))))
		digests <- [sha256.Size]byte(digest.Sum(nil))
	})
	l.start(1)
	stop, most := watchHeap()
	began := time.Now()

	var all sync.WaitGroup
	problems := make(chan error, sessions+1)
	var open atomic.Int32
	begin := make(chan struct{})
	for i := range sessions {
		all.Go(func() {
			problems <- func() error {
				conn, err := l.connect("10.244.1.7:80")
				if err != nil {
					return err
				}
				defer func() { _ = conn.Close() }()
				if open.Add(1) == sessions {
					close(begin) // all are open at once
				}
				<-begin
				random := rand.New(rand.NewPCG(uint64(i), 7))
				for round := range rounds {
					said := fmt.Appendf(nil, "session %d round %d ", i, round)
					for range random.IntN(2000) {
						said = binary.BigEndian.AppendUint64(said, random.Uint64())
					}
					heard := make([]byte, len(said))
					go func() { _, _ = conn.Write(said) }()
					if _, err := io.ReadFull(conn, heard); err != nil {
						return err
					}
					if !bytes.Equal(said, heard) {
						return fmt.Errorf("session %d heard what another said", i)
					}
				}
				return nil
			}()
		})
	}
	all.Go(func() {
		problems <- func() error {
			conn, err := l.connect("10.244.1.7:81")
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			<-begin
			if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, uint64(mib)<<20)); err != nil {
				return err
			}
			digest := sha256.New()
			size, err := io.Copy(digest, conn)
			if err != nil || size != int64(mib)<<20 {
				return fmt.Errorf("%d bytes came: %w", size, err)
			}
			if want := <-digests; [sha256.Size]byte(digest.Sum(nil)) != want {
				return fmt.Errorf("what came is not what was sent")
			}
			return nil
		}()
	})
	all.Wait()
	for range sessions + 1 {
		require.NoError(t, <-problems)
	}
	took := time.Since(began)
	stop()
	t.Logf("%d sessions and a stream of %d MiB took %s; both ends together held at most %d MiB more than before",
		sessions, mib, took.Round(time.Millisecond), most.Load()>>20)
	require.Less(t, most.Load(), int64(memoryLimit))
	l.until("all to be closed", l.nothingOpen)
}

func TestReadersThatDoNotReadHoldNoMoreThanTheirWindows(t *testing.T) {
	const stalled = 50
	l := newLab(t, 1)
	l.target("10.244.1.7:80", func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = io.Copy(conn, rand.NewChaCha8([32]byte{}))
	})
	l.target("10.244.1.7:81", says("a pod"))
	l.start(1)
	stop, most := watchHeap()
	for range stalled {
		conn, err := l.connect("10.244.1.7:80")
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte("?"))
		require.NoError(t, err)
	}
	sent := func() float64 {
		return metric(t, l.nodes[0].server.Handler(), "kubecomm_ssh_server_bytes_total", `direction="from_node"`)
	}
	l.until("all windows to be full", func() error {
		if sent() < stalled*2<<20 {
			return io.ErrNoProgress
		}
		return nil
	})
	l.reaches("10.244.1.7:81", "a pod") // others don't wait for them
	stop()
	t.Logf("%d readers that don't read hold %d MiB", stalled, most.Load()>>20)
	require.Less(t, most.Load(), int64(stalled*4<<20))
}

// watchHeap keeps the most that the heap has grown.
func watchHeap() (stop func(), most *atomic.Int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	start, most := read(), &atomic.Int64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			most.Store(max(most.Load(), read()-start))
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}, most
}
