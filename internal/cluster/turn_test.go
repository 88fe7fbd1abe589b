package cluster

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	kindexec "sigs.k8s.io/kind/pkg/exec"
)

// hereNode runs its processes on this machine.
type hereNode struct{ nodes.Node }

func (hereNode) String() string { return "here" }

func (hereNode) CommandContext(ctx context.Context, program string, args ...string) kindexec.Cmd {
	return kindexec.CommandContext(ctx, program, args...)
}

func newHereNode() *Node {
	return newNode(hereNode{}, inspected{Name: "here"})
}

// oneTurn leaves a single turn, which nobody gets back by waiting.
func oneTurn(t *testing.T) {
	t.Helper()
	limit := turnLimit
	turnLimit = time.Hour
	require.NoError(t, turns.Acquire(t.Context(), allTurns-1))
	t.Cleanup(func() {
		turnLimit = limit
		turns.Release(allTurns - 1)
	})
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAShellStartsInTheTurnOfTheCommandThatNeedsIt(t *testing.T) {
	oneTurn(t)
	output, err := newHereNode().Run(limited(t), Command{Args: []string{"echo", "hello"}})
	require.NoError(t, err)
	assert.Equal(t, "hello\n", string(output))
}

func TestAConnectionFromANodeKeepsItsTurnUntilItIsMade(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	oneTurn(t)
	node := newHereNode()
	for range 2 { // the second needs the turn of the first, which is still open
		conn, err := node.Dial(limited(t), listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("ping"))
		require.NoError(t, err)
		echo := make([]byte, 4)
		_, err = io.ReadFull(conn, echo)
		require.NoError(t, err)
		assert.Equal(t, "ping", string(echo))
	}
}

func TestAConnectionThatFailsSaysWhyAndGivesItsTurnBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	require.NoError(t, listener.Close())
	oneTurn(t)
	for range 2 {
		_, err = newHereNode().Dial(limited(t), closed)
		require.ErrorContains(t, err, "dialling "+closed+" from node here")
		require.ErrorContains(t, err, "Connection refused")
	}
}

func TestAConnectionThatNobodyWaitsForIsGivenUp(t *testing.T) {
	oneTurn(t)
	node := newHereNode()
	hang := func(ctx context.Context, _ Command, _, _ io.Writer) error { <-ctx.Done(); return ctx.Err() }
	stream, err := node.attachInTurn(limited(t), hang, Command{Args: []string{"bash"}}, func(err error) error { return err })
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(limited(t))
	cancel(io.ErrNoProgress)
	_, err = node.connected(ctx, stream, "127.0.0.1:1")
	require.ErrorIs(t, err, io.ErrNoProgress)
	release, err := takeTurn(limited(t))
	require.NoError(t, err)
	release()
}
