package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// relayScript joins its standard input and output to a TCP connection that bash opens in the node, once it has said by a
// newline that there is one. It ends when either side does.
const relayScript = `exec 3<>"/dev/tcp/$1/$2" || exit 1
echo
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
	command := givingWay("bash", "-c", relayScript, "bash", host, port)
	relay, err := n.attachInTurn(ctx, n.execLimited, command, func(err error) error { return n.notDialled(address, err) })
	if err != nil {
		return nil, err
	}
	return n.connected(ctx, relay, address)
}

// connected waits until a relay says that it has a connection.
func (n *Node) connected(ctx context.Context, relay *stream, address string) (net.Conn, error) {
	conn := &nodeConn{stream: relay, local: nodeAddr(n.name), remote: nodeAddr(address)}
	stay := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_, err := io.ReadFull(relay, make([]byte, 1))
	if !stay() {
		return nil, n.notDialled(address, context.Cause(ctx))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (n *Node) notDialled(address string, err error) error {
	return fmt.Errorf("dialling %s from node %s: %w", address, n.name, err)
}

// nodeAddr is a host:port as a node sees it, or the node itself.
type nodeAddr string

func (nodeAddr) Network() string  { return "tcp" }
func (a nodeAddr) String() string { return string(a) }

// nodeConn is a connection whose other half runs on a node.
type nodeConn struct {
	*stream
	local, remote nodeAddr
}

// Close doesn't wait for the other half, which may have more to say than anyone wants to hear.
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
func (c *nodeConn) SetWriteDeadline(t time.Time) error { return c.writer.SetWriteDeadline(t) }
