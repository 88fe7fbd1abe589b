package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	cryptossh "golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/wire"
)

// sshLimit is how long a client may take for all that it does at a server.
const sshLimit = time.Minute

// connect is a client at the worker's server, from the control plane.
func (l *lab) connect(ctx context.Context, key cryptossh.Signer, host apply.SSHKey) (*cryptossh.Client, error) {
	pinned, err := ssh.ParsePublicKey(host.Line)
	if err != nil {
		return nil, err
	}
	address := netip.AddrPortFrom(l.worker().Addresses()[0], l.sshPort()).String()
	conn, err := l.controlPlane().Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(sshLimit)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	established, channels, requests, err := cryptossh.NewClientConn(conn, address, &cryptossh.ClientConfig{
		Config: wire.Config(), User: ssh.User, Auth: []cryptossh.AuthMethod{cryptossh.PublicKeys(key)},
		HostKeyAlgorithms: []string{cryptossh.KeyAlgoED25519}, HostKeyCallback: cryptossh.FixedHostKey(pinned),
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return cryptossh.NewClient(established, channels, requests), nil
}

// keyOn is a key as it is in a file on a node: only tests read any.
func keyOn(ctx context.Context, node *cluster.Node, path string) (cryptossh.Signer, error) {
	file, err := node.ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	return ssh.ParseKey(file.Data)
}

// newKeyFile is a key that nobody knows, and its content as a file.
func newKeyFile() (cryptossh.Signer, []byte, error) {
	key, _, err := ssh.NewKey("")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.ParseKey(key.Reveal())
	return signer, key.Reveal(), err
}

// replaceKey has a unit run with another key than it has in its file, and returns that and the file as it was.
func replaceKey(ctx context.Context, node *cluster.Node, path, unit string) (other cryptossh.Signer, was cluster.File, err error) {
	if was, err = node.ReadFile(ctx, path); err != nil {
		return nil, was, err
	}
	other, data, err := newKeyFile()
	if err != nil {
		return nil, was, err
	}
	if err = node.WriteFile(ctx, path, cluster.File{Data: data, Mode: was.Mode}); err != nil {
		return nil, was, err
	}
	_, err = said(ctx, node, `systemctl restart "$1"`, unit)
	return other, was, err
}

// open asks for a channel, which nobody then uses.
func open(client *cryptossh.Client, kind string, payload []byte) error {
	channel, requests, err := client.OpenChannel(kind, payload)
	if err != nil {
		return err
	}
	go cryptossh.DiscardRequests(requests)
	return channel.Close()
}

// forward asks for what leads to an address or a name.
func forward(client *cryptossh.Client, host string, port uint16) error {
	return open(client, wire.ChannelType, cryptossh.Marshal(wire.DirectTCPIP{Host: host, Port: uint32(port), Origin: "127.0.0.1"}))
}

// servedNames are those that the certificate is for which a server shows behind a forward.
func servedNames(ctx context.Context, client *cryptossh.Client, at netip.AddrPort) ([]string, error) {
	conn, err := client.Dial("tcp", at.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // who it is is what is asked
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured.ConnectionState().PeerCertificates[0].DNSNames, nil
}

// hostnameAt asks a server of agnhost's, behind a forward, for its name.
func hostnameAt(ctx context.Context, client *cryptossh.Client, at netip.AddrPort) (string, error) {
	ask := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return client.Dial(network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at.String()+"/hostname", nil)
	if err != nil {
		return "", err
	}
	response, err := ask.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return string(bytes.TrimSpace(text)), err
}

// addressOf is that of a pod.
func (l *lab) addressOf(ctx context.Context, namespace, name string) (netip.Addr, error) {
	pod, err := l.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return netip.Addr{}, err
	}
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil {
		err = fmt.Errorf("the address of pod %s: %w", name, err)
	}
	return address, err
}
