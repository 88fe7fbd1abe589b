package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// noLogIn is what a client is told whose keys a server doesn't take (golang.org/x/crypto v0.54.0, ssh/client.go and
// ssh/client_auth.go).
const noLogIn = "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]"

// door is where a node's server listens, as a control plane's proxy is told of it, and is dialled from there.
type door struct {
	node    suite.Node
	address string
	pinned  []cryptossh.PublicKey
	from    *cluster.Node
}

// visit is how far a client got.
type visit struct {
	shown cryptossh.PublicKey // the server's host key
	asked bool                // the server wanted to see a key
	err   error               // why the client wasn't let in
}

// onEveryDoor knocks at every node's as somebody who has a key that nobody knows.
func onEveryDoor(judge func(context.Context, *suite.Subject, *suite.Evidence, door, visit) error) suite.Action {
	return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		doors, err := findDoors(ctx, s)
		if err != nil {
			return err
		}
		var problems []error
		for _, door := range doors {
			conn, err := door.from.Dial(ctx, door.address)
			if err == nil {
				err = judge(ctx, s, e, door, knock(ctx, conn, door.address))
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("the SSH server of node %s, at %s: %w", door.node.Name, door.address, err))
			}
		}
		return errors.Join(problems...)
	}
}

// findDoors reads from the first control plane's proxy what it was given.
func findDoors(ctx context.Context, s *suite.Subject) ([]door, error) {
	controlPlanes, err := s.ControlPlanes()
	if err != nil {
		return nil, err
	}
	from, err := s.Inside(controlPlanes[0])
	if err != nil {
		return nil, err
	}
	file, err := from.ReadFile(ctx, ssh.ProxyFile)
	if err != nil {
		return nil, err
	}
	config, err := ssh.ParseProxyConfig(file.Data)
	if err != nil {
		return nil, err
	}
	var doors []door
	for _, node := range s.Nodes {
		i := slices.IndexFunc(config.Nodes, func(known ssh.Node) bool { return known.Name == node.Name })
		if i < 0 {
			return nil, fmt.Errorf("the proxy of node %s was told of no node %s", from.Name(), node.Name)
		}
		pinned, err := ssh.ParsePublicKeys(config.Nodes[i].HostKeys)
		if err != nil {
			return nil, err
		}
		address := netip.AddrPortFrom(config.Nodes[i].Addresses[0], config.Nodes[i].Port).String()
		doors = append(doors, door{node, address, pinned, from})
	}
	return doors, nil
}

// knock asks to be let in by a new key, as if it were a proxy's. It closes the connection.
func knock(ctx context.Context, conn net.Conn, address string) (v visit) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var signer cryptossh.Signer
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		signer, err = cryptossh.NewSignerFromSigner(private)
	}
	if err != nil {
		v.err = err
		return v
	}
	established, _, _, err := cryptossh.NewClientConn(conn, address, &cryptossh.ClientConfig{
		User: ssh.User, HostKeyAlgorithms: []string{cryptossh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key cryptossh.PublicKey) error {
			v.shown = key
			return nil
		},
		Auth: []cryptossh.AuthMethod{cryptossh.PublicKeysCallback(func() ([]cryptossh.Signer, error) {
			v.asked = true
			return []cryptossh.Signer{signer}, nil
		})},
	})
	if err == nil {
		_ = established.Close()
	}
	v.err = err
	return v
}

// knocked demands that a client gets as far as to where its key decides, at the right server, and that other clients are in.
func knocked(ctx context.Context, s *suite.Subject, e *suite.Evidence, at door, v visit) error {
	if v.shown == nil || !v.asked {
		return fmt.Errorf("a client isn't asked for a key: %w", v.err)
	}
	e.Note("the SSH server of node %s shows host key %s and asks for a key", at.node.Name, ssh.Fingerprint(v.shown))
	if !ssh.SameIn(v.shown, at.pinned) {
		return fmt.Errorf("it shows host key %s, and %s is pinned", ssh.Fingerprint(v.shown), ssh.Fingerprints(at.pinned))
	}
	status, err := askStatus[server.Status](ctx, s, e, at.node, ssh.ServerHealthPort, "/healthz")
	if err == nil && len(status.Connected) == 0 {
		err = errors.New("nobody is connected to it, so that it isn't known whether it lets anybody in")
	}
	return err
}

// refused demands that it was the key for which a client wasn't let in.
func refused(_ context.Context, _ *suite.Subject, e *suite.Evidence, at door, v visit) error {
	e.Note("the SSH server of node %s and a client with a key of its own: %v", at.node.Name, v.err)
	if v.shown != nil && !ssh.SameIn(v.shown, at.pinned) {
		return fmt.Errorf("it showed another host key than before: %s", ssh.Fingerprint(v.shown))
	}
	return probe.Refused(v.err, noLogIn)
}
