package wire_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

const (
	flushLimit    = 30 * time.Second
	halfOpenLimit = 5 * time.Minute
)

func TestEachDirectionOfAStreamEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		say(t, j.user, "a question")
		hear(t, j.answer, "a question")
		require.NoError(t, j.user.CloseWrite())
		_, err := j.answer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		say(t, j.answer, "and an answer to who has said all")
		hear(t, j.user, "and an answer to who has said all")
		require.NoError(t, j.answer.CloseWrite())
		_, err = j.user.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		<-j.ended
		require.EqualValues(t, len("a question"), j.sent.Load())
		require.EqualValues(t, len("and an answer to who has said all"), j.received.Load())
		require.EqualValues(t, -1, j.carried.lingers.Load(), "a stream that ended well is not broken off")
	})
}

func TestAStreamThatHasEndedInOneDirectionMayBeSilentForFiveMinutesAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		time.Sleep(2 * halfOpenLimit)
		synctest.Wait()
		requireOpen(t, j, "nothing has ended: a stream may be silent")

		require.NoError(t, j.user.CloseWrite())
		for range 3 {
			time.Sleep(halfOpenLimit - time.Second)
			say(t, j.answer, "still here")
			hear(t, j.user, "still here")
		}
		requireEndsAfter(t, j, halfOpenLimit, "it has spoken within the limit")
	})
}

func TestWhatCameBeforeTheFarEndWentIsStillWrittenForHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		say(t, j.answer, "last words")
		require.NoError(t, j.answer.Close())
		time.Sleep(flushLimit - time.Second)
		hear(t, j.user, "last words")
		_, err := j.user.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		<-j.ended
	})
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		say(t, j.answer, "words that nobody reads")
		require.NoError(t, j.answer.Close())
		requireEndsAfter(t, j, flushLimit, "there is time left to read them")
	})
}

func TestAStreamWhoseConnectionBreaksIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		say(t, j.answer, "half of")
		hear(t, j.user, "half of")
		j.cut()
		<-j.ended
		require.Zero(t, j.carried.lingers.Load(), "who has the socket takes it for the stream's end")
	})
}

func TestAStreamWhoseUserHasGoneIsClosedAtTheFarEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		require.NoError(t, j.user.Close())
		_, err := j.answer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		say(t, j.answer, "for nobody")
		<-j.ended
		require.Zero(t, j.received.Load())
	})
}

func TestAStreamIsAsItWasSentHoweverLongItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := join(t)
		const length = 3 << 20 // more than a channel's window
		sent := make([]byte, length)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		go func() {
			_, _ = io.Copy(j.answer, j.answer) // until it has come to its end
			_ = j.answer.CloseWrite()
		}()
		go func() {
			_, _ = j.user.Write(sent)
			_ = j.user.CloseWrite()
		}()
		heard, err := io.ReadAll(j.user)
		require.NoError(t, err)
		require.Equal(t, sent, heard)
		<-j.ended
		require.EqualValues(t, length, j.sent.Load())
		require.EqualValues(t, length, j.received.Load())
	})
}

func TestAChannelThatIsNotOpenedInTimeIsGivenUpAndClosedShouldItComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnel := newTunnel(t)
		why := errors.New("the dial took too long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, why)
		defer cancel()
		_, _, err := wire.Open(ctx, tunnel.client, wire.DirectTCPIP{Host: "10.0.0.1", Port: 80})
		require.ErrorIs(t, err, why)

		opened := <-tunnel.channels
		channel, requests, err := opened.Accept()
		require.NoError(t, err)
		go ssh.DiscardRequests(requests)
		_, err = channel.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "it stays open for nobody")
	})
}

func TestAChannelIsOpenedToWhereItIsAskedForAndItsRefusalIsToldAsItWasGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnel := newTunnel(t)
		to := wire.DirectTCPIP{Host: "fd00::7", Port: 10250, Origin: "127.0.0.1", OriginPort: 1}
		asked := make(chan wire.DirectTCPIP, 1)
		go func() {
			opened := <-tunnel.channels
			var got wire.DirectTCPIP
			if opened.ChannelType() == wire.ChannelType && ssh.Unmarshal(opened.ExtraData(), &got) == nil {
				asked <- got
			}
			close(asked)
			_ = opened.Reject(ssh.Prohibited, "fd00::7 is none of this node's")
		}()
		_, _, err := wire.Open(t.Context(), tunnel.client, to)
		var refused *ssh.OpenChannelError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, ssh.Prohibited, refused.Reason)
		require.Equal(t, "fd00::7 is none of this node's", refused.Message)
		require.Equal(t, to, <-asked)
	})
}

// requireEndsAfter lets a limit pass, before which the stream must be open.
func requireEndsAfter(t *testing.T, j *joined, limit time.Duration, message string) {
	t.Helper()
	time.Sleep(limit - time.Second)
	synctest.Wait()
	requireOpen(t, j, message)
	time.Sleep(2 * time.Second)
	synctest.Wait()
	requireEnded(t, j)
}

func requireOpen(t *testing.T, j *joined, message string) {
	t.Helper()
	select {
	case <-j.ended:
		require.Fail(t, "the stream has ended", message)
	default:
	}
}

func requireEnded(t *testing.T, j *joined) {
	t.Helper()
	select {
	case <-j.ended:
	default:
		require.Fail(t, "the stream is still open")
	}
	_, err := j.carried.Write([]byte{0})
	require.Error(t, err, "its socket is closed")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "its socket is closed")
}
