package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

// SSHObservation is what a node has of an SSH tunnel.
type SSHObservation struct {
	Server SSHEnd[server.Status]
	Proxy  SSHEnd[proxy.Status] // of control planes only
	// Port is what servers' socket says that it listens at; 0 if there is none.
	Port uint16
	// Listeners are the programs that listen at ports of the node, by port.
	Listeners map[uint16]string
}

// SSHEnd is one end of a tunnel.
type SSHEnd[S any] struct {
	found    serviceFound
	Config   []byte // its file's content; nil if there is none
	Key      SSHKey
	Next     SSHKey // that is to take the key's place
	Status   *S     // what it tells of itself; nil if it doesn't
	StatusOf error  // why it doesn't
}

// SSHKey is what is known of a key without reading it.
type SSHKey struct {
	ssh.PublicKey
	Mode string // permissions, in octal; empty if there is none
}

// Present reports whether there is anything of it.
func (e SSHEnd[S]) Present() bool { return e.found.present() || e.Key.Mode != "" || e.Next.Mode != "" }

// SHA256 is the digest of the program that it runs as; empty if there is none.
func (e SSHEnd[S]) SHA256() string { return e.found.files[programFile].digest }

// lines are its public keys: the one that it has, and the one that it will have.
func (e SSHEnd[S]) lines() []string {
	var lines []string
	for _, key := range []SSHKey{e.Key, e.Next} {
		if key.Line != "" {
			lines = append(lines, key.Line)
		}
	}
	return lines
}

// nextKey is where a key waits that others are to know before it is used.
func nextKey(key string) string { return key + ".next" }

// sshServer is a server of which it isn't known what is in the files that depend on the node.
func sshServer() service {
	s := service{
		unit: ssh.ServerService, socket: ssh.ServerSocket, folders: []string{ssh.ServerFolder, ssh.ServerRun},
		secrets: []string{ssh.ServerKey}, pending: []string{nextKey(ssh.ServerKey)},
		reloaded: []string{ssh.ServerFile, ssh.ServerKey}, files: map[string]cluster.File{ssh.ServerFile: {}},
	}
	for _, unit := range ssh.ServerUnits(nil, ssh.DefaultPort) {
		s.files[unit.Path()] = cluster.File{}
	}
	return s
}

// sshProxy is a proxy of the same kind.
func sshProxy() service {
	s := service{
		unit: ssh.ProxyService, socket: ssh.ProxySocket, state: ssh.ProxyState,
		folders: []string{ssh.ProxyFolder, ssh.ProxyRun, ssh.SocketFolder}, account: ssh.ProxyAccount, token: ssh.ProxyToken,
		secrets: []string{ssh.ProxyKey, ssh.ProxyToken}, pending: []string{nextKey(ssh.ProxyKey)},
		reloaded: []string{ssh.ProxyFile, ssh.ProxyKey}, files: map[string]cluster.File{ssh.ProxyFile: {}, ssh.ProxyCA: {}},
	}
	for _, unit := range ssh.ProxyUnits() {
		s.files[unit.Path()] = cluster.File{Data: unit.Data, Mode: publicMode}
	}
	return s
}

// observeSSH looks at both ends that a node may have, and returns what kind of machine it is as well.
func observeSSH(ctx context.Context, node Node) (found SSHObservation, machine string, err error) {
	left, err := lookForSSH(ctx, node)
	if err != nil {
		return found, "", err
	}
	found.Listeners = left.listeners
	if !left.any { // as on most clusters
		return found, left.machine, nil
	}
	if found.Server, err = observeSSHServer(ctx, node); err != nil {
		return found, "", err
	}
	socket, err := node.ReadFiles(ctx, unitFolder+ssh.ServerSocket)
	if err != nil {
		return found, "", err
	}
	found.Port = ssh.PortOf(socket[unitFolder+ssh.ServerSocket].Data)
	if node.Role() == cluster.ControlPlane {
		found.Proxy, err = observeSSHProxy(ctx, node)
	}
	return found, left.machine, err
}

func observeSSHServer(ctx context.Context, node Node) (SSHEnd[server.Status], error) {
	return observeEnd[server.Status](ctx, node, sshServer(), ssh.ServerFile, ssh.ServerKey, ssh.ServerHealthPort, "/healthz")
}

func observeSSHProxy(ctx context.Context, node Node) (SSHEnd[proxy.Status], error) {
	return observeEnd[proxy.Status](ctx, node, sshProxy(), ssh.ProxyFile, ssh.ProxyKey, ssh.ProxyHealthPort, "/readyz")
}

// keysScript prints, of those of the files that there are, the permissions, and the first line if it is a public key.
const keysScript = `for file; do
  [ ! -f "$file" ] || echo "$(stat -L -c %a -- "$file") $file $(head -n 1 -- "$file" | grep '^ssh-ed25519 ')"
done`

func observeEnd[S any](
	ctx context.Context, node Node, s service, config, key string, port int, path string,
) (SSHEnd[S], error) {
	var end SSHEnd[S]
	var err error
	if end.found, err = findService(ctx, node, s); err != nil {
		return end, err
	}
	output, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", keysScript, "sh", key, nextKey(key)}})
	if err != nil {
		return end, fmt.Errorf("looking at %s on node %s: %w", key, node.Name(), err)
	}
	for line := range strings.Lines(string(output)) {
		mode, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		file, first, _ := strings.Cut(rest, " ")
		found := SSHKey{Mode: mode}
		found.PublicKey, _ = ssh.ParseFirstLine(first) // without one, it counts as no key
		if file == key {
			end.Key = found
		} else {
			end.Next = found
		}
	}
	if !end.Present() {
		return end, nil
	}
	files, err := node.ReadFiles(ctx, config)
	if err != nil {
		return end, err
	}
	if file, there := files[config]; there {
		end.Config = file.Data
	}
	end.Status, end.StatusOf = askStatus[S](ctx, node, port, path)
	return end, nil
}

// askStatus asks one end of a tunnel how it is, whatever it says.
func askStatus[S any](ctx context.Context, node Node, port int, path string) (*S, error) {
	data, err := askLoopback(ctx, node, port, path)
	if refusal, ok := errors.AsType[*loopbackError](err); ok {
		data, err = refusal.body, nil
	}
	status := new(S)
	if err == nil {
		err = json.Unmarshal(data, status)
	}
	if err != nil {
		return nil, err
	}
	return status, nil
}

// sshLeft is what a look at a node tells without asking for details.
type sshLeft struct {
	machine   string
	any       bool // there is anything of a tunnel
	listeners map[uint16]string
}

// lookScript prints what kind of machine a node is, which of the files there are, and who listens at which address.
const lookScript = `echo "machine $(uname --machine)"
for file; do [ ! -e "$file" ] || echo "there $file"; done
ss --no-header --tcp --listening --numeric --processes | awk '{ print "listens", $4, $6 }'`

var processName = regexp.MustCompile(`^users:\(\("([^"]*)"`)

func lookForSSH(ctx context.Context, node Node) (sshLeft, error) {
	args := []string{"sh", "-c", lookScript, "sh"}
	for _, end := range []service{sshServer(), sshProxy()} {
		args = append(args, end.ownPaths()...)
	}
	output, err := node.Run(ctx, cluster.Command{Args: append(args, sshKeys()...)})
	if err != nil {
		return sshLeft{}, fmt.Errorf("looking at node %s: %w", node.Name(), err)
	}
	return parseLook(string(output)), nil
}

// parseLook leaves out who listens at loopback addresses alone: SSH servers don't.
func parseLook(output string) sshLeft {
	found := sshLeft{listeners: map[uint16]string{}}
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 2:
		case fields[0] == "machine":
			found.machine = fields[1]
		case fields[0] == "there":
			found.any = true
		case fields[0] == "listens":
			i := strings.LastIndex(fields[1], ":")
			port, err := strconv.ParseUint(fields[1][i+1:], 10, 16)
			if address, parsed := netip.ParseAddr(strings.Trim(fields[1][:max(i, 0)], "[]")); err != nil ||
				parsed == nil && address.IsLoopback() {
				continue
			}
			found.listeners[uint16(port)] = "a program"
			if len(fields) > 2 {
				if match := processName.FindStringSubmatch(fields[2]); match != nil {
					found.listeners[uint16(port)] = match[1]
				}
			}
		}
	}
	return found
}

// podCIDRs asks the API for the ranges that nodes' pods have addresses of, by node.
func podCIDRs(ctx context.Context, client apiClient) (map[string][]netip.Prefix, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	found := map[string][]netip.Prefix{}
	for _, node := range nodes.Items {
		found[node.Name] = []netip.Prefix{}
		for _, text := range node.Spec.PodCIDRs {
			cidr, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("the pods of node %s: %w", node.Name, err)
			}
			found[node.Name] = append(found[node.Name], cidr)
		}
	}
	return found, nil
}
