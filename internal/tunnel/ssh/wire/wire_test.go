package wire_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

func TestOnlyAlgorithmsOfTodayAreNegotiated(t *testing.T) {
	_, err := negotiate(t, wire.Config(), wire.Config())
	require.NoError(t, err, "both ends of a tunnel understand each other")
	all := ssh.SupportedAlgorithms()
	tests := map[string]struct {
		offered ssh.Config
		refused string
	}{
		"a key exchange of NIST's curves": {ssh.Config{KeyExchanges: []string{ssh.KeyExchangeECDHP256}}, "key exchange"},
		"a key exchange of 2048 bits":     {ssh.Config{KeyExchanges: []string{ssh.KeyExchangeDH14SHA256}}, "key exchange"},
		"a cipher without authentication": {ssh.Config{Ciphers: []string{ssh.CipherAES256CTR}}, "client to server cipher"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := negotiate(t, test.offered, ssh.Config{KeyExchanges: all.KeyExchanges, Ciphers: all.Ciphers, MACs: all.MACs})
			require.NoError(t, err, "who allows all negotiates it")
			_, err = negotiate(t, test.offered, wire.Config())
			require.Error(t, err)
			_, err = negotiate(t, wire.Config(), test.offered)
			require.ErrorContains(t, err, "no common algorithm for "+test.refused)
		})
	}
}

func TestAConnectionThatIsSilentForTooLongIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnel := newTunnel(t) // which answers no keepalive
		asked := make(chan string, 1)
		go func() { asked <- (<-tunnel.requests).Type }()
		began := time.Now()
		err := wire.Keepalive{Interval: time.Second, Silence: 5 * time.Second}.Watch(t.Context(), tunnel.below, tunnel.client)
		require.EqualError(t, err, "nothing came for 6s")
		require.Equal(t, 6*time.Second, time.Since(began), "the first look after five seconds")
		require.Equal(t, wire.KeepaliveRequest, <-asked)
		require.Error(t, tunnel.client.Wait(), "it is cut for the library too")
		require.True(t, tunnel.below.Ended())
	})
}

func TestAConnectionThatAnswersKeepalivesLivesUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnel := newTunnel(t)
		answered := make(chan int, 1)
		go func() {
			count := 0
			for request := range tunnel.requests {
				_ = request.Reply(false, nil) // as OpenSSH does: it knows no such request
				count++
			}
			answered <- count
		}()
		why := errors.New("the peer is no longer wanted")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute+time.Second/2, why)
		defer cancel()
		err := wire.Keepalive{Interval: time.Second, Silence: 5 * time.Second}.Watch(ctx, tunnel.below, tunnel.client)
		require.ErrorIs(t, err, why)
		require.Equal(t, 60, <-answered)
	})
	synctest.Test(t, func(t *testing.T) {
		tunnel := newTunnel(t)
		time.AfterFunc(time.Second/2, tunnel.cut)
		err := wire.Keepalive{Interval: time.Second, Silence: 5 * time.Second}.Watch(t.Context(), tunnel.below, tunnel.client)
		require.ErrorContains(t, err, "the connection ended: EOF")
	})
}

func TestAConnectionKnowsSinceWhenNothingCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conn := wire.NewConn(near)
		time.Sleep(2 * time.Second)
		require.Equal(t, 2*time.Second, conn.Silence(), "since it began")
		go func() { _, _ = far.Write([]byte("heard")) }()
		_, err := conn.Read(make([]byte, 16))
		require.NoError(t, err)
		require.Zero(t, conn.Silence())
		time.Sleep(time.Second)
		require.Equal(t, time.Second, conn.Silence())
		require.False(t, conn.Ended())
		require.NoError(t, far.Close())
		_, err = conn.Read(make([]byte, 16))
		require.Error(t, err)
		require.True(t, conn.Ended())
		require.Equal(t, time.Second, conn.Silence(), "its end is no sign of life")
	})
}

func TestWhatIsOpenIsWaitedForAndNothingElseLetIn(t *testing.T) {
	drain := wire.NewDrain()
	require.True(t, drain.Enter())
	require.True(t, drain.Enter())
	require.Equal(t, 2, drain.Open())
	drain.Leave()
	empty := drain.Close()
	require.False(t, drain.Enter(), "it is closed")
	require.Equal(t, 1, drain.Open())
	requireBlocked(t, empty)
	require.Equal(t, empty, drain.Close(), "closing it again waits for the same")
	drain.Leave()
	<-empty
	require.Zero(t, drain.Open())

	<-wire.NewDrain().Close() // of nothing
}

func requireBlocked(t *testing.T, empty <-chan struct{}) {
	t.Helper()
	select {
	case <-empty:
		require.Fail(t, "somebody is still in")
	default:
	}
}
