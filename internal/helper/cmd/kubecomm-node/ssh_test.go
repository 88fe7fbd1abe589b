package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	cryptossh "golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/route"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// asProgram has the test's own program be kubecomm-node.
const asProgram = "KUBECOMM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const limit = 10 * time.Second

// unit starts the program as systemd does: with sockets, credentials and a socket to tell when it is ready.
type unit struct {
	t       *testing.T
	folder  string // of credentials
	control string
	log     bytes.Buffer
	logging sync.Mutex
}

func (u *unit) Write(p []byte) (int, error) {
	u.logging.Lock()
	defer u.logging.Unlock()
	return u.log.Write(p)
}

func newUnit(t *testing.T, credentials map[string][]byte) *unit {
	t.Helper()
	u := &unit{t: t, folder: t.TempDir(), control: filepath.Join(t.TempDir(), ssh.ControlSocket)}
	for name, data := range credentials {
		u.write(name, data)
	}
	return u
}

func (u *unit) write(name string, data []byte) {
	u.t.Helper()
	require.NoError(u.t, os.WriteFile(filepath.Join(u.folder, name), data, 0o600))
}

func (u *unit) start(command string, serving net.Listener) {
	t := u.t
	t.Helper()
	control, err := net.Listen("unix", u.control)
	require.NoError(t, err)
	notify := filepath.Join(t.TempDir(), "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	require.NoError(t, err)
	defer func() { _ = ready.Close() }()
	// The number of the process that the sockets are for is known once there is one.
	program := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", os.Args[0], command,
		filepath.Join(u.folder, ssh.ConfigName))
	program.Env = append(os.Environ(), asProgram+"=1", "LISTEN_FDS=2", "CREDENTIALS_DIRECTORY="+u.folder, "STATE_DIRECTORY="+t.TempDir(), "NOTIFY_SOCKET="+notify)
	program.Stderr = u
	for _, listener := range []net.Listener{serving, control} {
		file, err := listener.(interface{ File() (*os.File, error) }).File()
		require.NoError(t, err)
		defer func() { _ = file.Close() }()
		program.ExtraFiles = append(program.ExtraFiles, file)
	}
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM)
		require.NoError(t, program.Wait(), "it ends when it is told to")
		if t.Failed() {
			t.Log(u.log.String())
		}
	})
	require.NoError(t, ready.SetReadDeadline(time.Now().Add(limit)))
	said := make([]byte, 64)
	n, err := ready.Read(said)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(said[:n]))
}

func newKeyFile(t *testing.T) ([]byte, cryptossh.Signer) {
	t.Helper()
	key, _, err := ssh.NewKey("")
	require.NoError(t, err)
	signer, err := ssh.ParseKey(key.Reveal())
	require.NoError(t, err)
	return key.Reveal(), signer
}

func TestAServerServesAtSystemdsSocketAndTakesOtherFilesUp(t *testing.T) {
	hostFile, host := newKeyFile(t)
	_, first := newKeyFile(t)
	_, second := newKeyFile(t)
	config := ssh.ServerConfig{
		Node: "worker", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.3")},
		AuthorizedKeys: map[string][]string{"control-plane": {ssh.Encode(first.PublicKey())}},
	}
	u := newUnit(t, map[string][]byte{ssh.ConfigName: config.Encode(), ssh.HostKeyName: hostFile})
	serving, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.start("ssh-server", serving)
	connect := func(host, key cryptossh.Signer) error {
		client, err := cryptossh.Dial("tcp", serving.Addr().String(), &cryptossh.ClientConfig{
			Auth: []cryptossh.AuthMethod{cryptossh.PublicKeys(key)}, HostKeyCallback: cryptossh.FixedHostKey(host.PublicKey()), Timeout: limit,
		})
		if err != nil {
			return err
		}
		_, err = client.Dial("tcp", "127.0.0.1:80")
		return errors.Join(err, client.Close())
	}
	const refusal = "127.0.0.1:80 is no address of node worker, of its pods or of services"
	require.ErrorContains(t, connect(host, first), refusal)
	require.ErrorContains(t, connect(host, second), "unable to authenticate")

	configFile, keyFile := filepath.Join(u.folder, ssh.ConfigName), filepath.Join(u.folder, ssh.HostKeyName)
	reload := commands["ssh-reload"].run
	config.AuthorizedKeys["control-plane"] = nil
	u.write(ssh.ConfigName, config.Encode())
	require.ErrorContains(t, reload(t.Context(), nil, []string{u.control, configFile, keyFile}), "the keys of control-plane: there is none")
	require.ErrorContains(t, connect(host, first), refusal, "what can't be taken up changes nothing")

	otherFile, other := newKeyFile(t)
	config.AuthorizedKeys["control-plane"] = []string{ssh.Encode(second.PublicKey())}
	u.write(ssh.ConfigName, config.Encode())
	u.write(ssh.HostKeyName, otherFile)
	require.NoError(t, reload(t.Context(), nil, []string{u.control, configFile, keyFile}))
	require.ErrorContains(t, connect(other, second), refusal)
	require.ErrorContains(t, connect(other, first), "unable to authenticate")
	u.logging.Lock()
	defer u.logging.Unlock()
	require.NotContains(t, u.log.String(), "PRIVATE KEY")
}

// nodesAPI answers as an API with nodes does, to whoever shows the token.
func nodesAPI(t *testing.T, token string, nodes ...corev1.Node) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token || r.URL.Path != nodesPath:
			answer(w, http.StatusForbidden, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: 403})
		case r.URL.Query().Get("sendInitialEvents") == "true":
			answer(w, http.StatusUnprocessableEntity, metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonInvalid, Code: 422,
			})
		case r.URL.Query().Get("watch") == "true":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			answer(w, http.StatusOK, corev1.NodeList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: nodes,
			})
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAProxyServesAtSystemdsSocketAndKnowsOfNodesWhatTheAPITells(t *testing.T) {
	token := tokenOf(time.Now(), time.Hour)
	api := nodesAPI(t, token, corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "joined"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.7.0/24"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.18.0.9"}}},
	})
	clientFile, _ := newKeyFile(t)
	_, host := newKeyFile(t)
	config := ssh.ProxyConfig{
		Node: "control-plane", Server: api.URL, ServerName: "example.com", Namespace: "kube-system", ServiceAccount: ssh.ProxyAccount,
		Nodes: []ssh.Node{{Name: "gone", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, Port: 22, HostKeys: []string{ssh.Encode(host.PublicKey())}}},
	}
	u := newUnit(t, map[string][]byte{
		ssh.ConfigName: config.Encode(), ssh.ClientKeyName: clientFile, tokenCredential: []byte(token),
		caCredential: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}),
	})
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	serving, err := net.Listen("unix", socket)
	require.NoError(t, err)
	u.start("ssh-proxy", serving)
	for target, want := range map[string]string{
		"10.244.7.9:80":   "502 node joined has no pinned host key: apply the kubecomm_hardening again",
		"192.0.2.3:10250": "502 no node has it: 192.0.2.3 is no address of a node, a pod or a service",
	} {
		require.NoError(t, wait.Until(t.Context(), "the proxy to know the nodes", wait.Options{Limit: limit, Every: 20 * time.Millisecond},
			func(ctx context.Context) error {
				conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
				if err != nil {
					return err
				}
				defer func() { _ = conn.Close() }()
				_, _ = fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", target)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return err
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.Status != want {
					return errors.New(response.Status)
				}
				return nil
			}))
	}
}

func TestWithoutSystemdsSocketsThereIsNothingToServe(t *testing.T) {
	_, err := inheritedSockets()
	require.EqualError(t, err, "systemd has passed on no sockets: the program is started by its unit")
}

func TestOfANodeAProxyKnowsWhatLeadsToIt(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "dev-control-plane", Labels: map[string]string{controlPlaneLabel: "", "other": "x"}, Annotations: map[string]string{"large": "x"}},
		Spec:       corev1.NodeSpec{PodCIDRs: []string{"10.244.0.0/24", "nonsense"}},
		Status: corev1.NodeStatus{
			Images: []corev1.ContainerImage{{Names: []string{"large"}}},
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "172.18.0.2"}, {Type: corev1.NodeInternalIP, Address: "fc00::2"},
				{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}, {Type: corev1.NodeInternalIP, Address: "nonsense"},
				{Type: corev1.NodeHostName, Address: "cp.example"},
			},
		},
	}
	kept, err := essence(node)
	require.NoError(t, err)
	require.Empty(t, kept.(*corev1.Node).Status.Images)
	require.Empty(t, kept.(*corev1.Node).Annotations)
	require.Equal(t, proxy.Node{ControlPlane: true, Node: route.Node{
		Name: "dev-control-plane", Hostnames: []string{"cp.example"},
		Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fc00::2")},
		PodCIDRs:  []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")},
	}}, nodeOf(kept.(*corev1.Node)))
}
