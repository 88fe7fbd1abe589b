package wire

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// KeepaliveRequest is what OpenSSH asks too. Whatever the answer, it shows that there is somebody.
const KeepaliveRequest = "keepalive@openssh.com"

// Keepalive says how a connection is watched.
type Keepalive struct{ Interval, Silence time.Duration }

// Watch asks the other end again and again, and cuts the connection off once that has been silent for too long. It returns
// why the connection ended. The connection itself is cut, under the library, whose methods may be what waits for it.
func (k Keepalive) Watch(ctx context.Context, below *Conn, conn ssh.Conn) error {
	ended := make(chan error, 1)
	go func() { ended <- conn.Wait() }()
	asked := make(chan struct{}, 1)
	ticker := time.NewTicker(k.Interval)
	defer ticker.Stop()
	defer func() { _ = below.Close() }()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the connection ended: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if silence := below.Silence(); silence > k.Silence {
			return fmt.Errorf("nothing came for %s", silence.Round(time.Millisecond))
		}
		select {
		case asked <- struct{}{}:
			go func() {
				_, _, _ = conn.SendRequest(KeepaliveRequest, true, nil)
				<-asked
			}()
		default: // the last one isn't answered yet
		}
	}
}
