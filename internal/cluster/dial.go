package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// relayScript joins its standard input and output to a TCP connection that bash opens in the node. It ends when either
// side does.
const relayScript = `exec 3<>"/dev/tcp/$1/$2" || exit 1
cat <&3 &
cat >&3
kill $! 2>/dev/null`

// Dial opens a TCP connection from inside the node to a host:port as the node sees it. The machine that Terraform runs
// on may have no route to the nodes (Docker Desktop), and a connection from within says more: it takes the path that
// the node's own components take. The connection lasts at most two minutes.
func (n *Node) Dial(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stdinR, stdinW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdoutR, stdoutW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdinR.Close(), stdinW.Close())
	}
	// The relay outlives the dialling context, as any connection does; Close ends it.
	relayCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	conn := &nodeConn{
		reader: stdoutR, writer: stdinW, cancel: cancel,
		local: nodeAddr(n.name), remote: nodeAddr(address),
	}
	go func() {
		var stderr bytes.Buffer
		command := Command{Args: []string{"bash", "-c", relayScript, "bash", host, port}, Stdin: stdinR}
		err := n.exec(relayCtx, command, stdoutW, &stderr)
		conn.ended(n.name, address, strings.TrimSpace(stderr.String()), err)
		_ = stdinR.Close()
		_ = stdoutW.Close()
	}()
	return conn, nil
}

// nodeAddr is a host:port as a node sees it, or the node itself.
type nodeAddr string

func (nodeAddr) Network() string  { return "tcp" }
func (a nodeAddr) String() string { return string(a) }

// nodeConn is a connection whose other half runs on a node.
type nodeConn struct {
	reader, writer *os.File
	cancel         context.CancelFunc
	local, remote  nodeAddr

	mu     sync.Mutex
	reason error // why the relay ended, if it failed
}

func (c *nodeConn) ended(node, address, stderr string, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = fmt.Errorf("dialling %s from node %s: %w", address, node, newCommandError(node, "bash", stderr, err))
}

// Read returns, in place of a bare end of file, the reason why the connection could not be opened.
func (c *nodeConn) Read(p []byte) (int, error) {
	count, err := c.reader.Read(p)
	return count, c.explain(err)
}

func (c *nodeConn) Write(p []byte) (int, error) {
	count, err := c.writer.Write(p)
	return count, c.explain(err)
}

func (c *nodeConn) explain(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	return err
}

func (c *nodeConn) Close() error {
	err := errors.Join(c.writer.Close(), c.reader.Close())
	c.cancel()
	return err
}

func (c *nodeConn) LocalAddr() net.Addr  { return c.local }
func (c *nodeConn) RemoteAddr() net.Addr { return c.remote }

func (c *nodeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *nodeConn) SetReadDeadline(t time.Time) error  { return c.reader.SetReadDeadline(t) }
func (c *nodeConn) SetWriteDeadline(t time.Time) error { return c.writer.SetWriteDeadline(t) }
