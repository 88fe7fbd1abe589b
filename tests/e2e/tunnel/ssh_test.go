package tunnel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// otherPort is for servers whose usual port is taken.
const otherPort = 2222

// refusesTakenPort begins with Konnectivity, and ends with SSH at another port.
func refusesTakenPort(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, w.lower(ctx))
	requireNothingToDo(ctx, t, l, settings.Konnectivity)
	// systemd listens by itself for what would be started by the first connection.
	const unit = "e2e-has-port"
	require.NoError(t, l.on(ctx, l.worker(), `systemd-run --quiet --unit="$1" --socket-property=ListenStream="$2" true`,
		unit, strconv.Itoa(int(l.port()))))
	defer func() {
		assert.NoError(t, l.on(context.WithoutCancel(ctx), l.worker(), `systemctl stop "$1.socket"`, unit))
	}()

	_, err := apply.Apply(ctx, apply.On(l.cluster), apply.Options{Settings: l.declared(settings.SSH), Now: time.Now})
	taken, ok := errors.AsType[*apply.PortTakenError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, apply.PortTakenError{Node: l.worker().Name(), Port: l.port(), Program: "systemd"}, *taken)
	require.False(t, l.observe(ctx, t).AnySSH())
	requireNothingToDo(ctx, t, l, settings.Konnectivity) // nothing was changed

	l.ssh.Port = otherPort
	defer func() { l.ssh.Port = 0 }()
	require.NoError(t, bySSH.whole(l, l.apply(ctx, t, settings.SSH)))
	requireTunnelAlone(ctx, t, l, w.around(otherPort))
}

// requireNothingToDo expects that an apply would change nothing of what there is.
func requireNothingToDo(ctx context.Context, t *testing.T, l *lab, mode settings.TunnelMode) {
	t.Helper()
	options := wait.Options{Limit: time.Minute, Every: time.Second} // agents may have ended a moment ago
	err := wait.Until(ctx, "nothing to be left to do", options, func(ctx context.Context) error {
		observed, err := apply.Observe(ctx, apply.On(l.cluster), time.Now())
		if err != nil {
			return err
		}
		if steps := apply.Plan(observed, l.declared(mode)); len(steps) > 0 {
			return fmt.Errorf("there are steps to do: %v", steps)
		}
		return nil
	})
	require.NoError(t, err)
}

// statusScript prints what the kernel says of a unit's process, or of the process of a number.
const statusScript = `case $1 in *.service) pid=$(systemctl show --property MainPID --value "$1");; *) pid=$1;; esac
cat "/proc/$pid/status"`

// processStatus is that, by name.
func processStatus(ctx context.Context, node *cluster.Node, of string) (map[string]string, error) {
	text, err := said(ctx, node, statusScript, of)
	if err != nil {
		return nil, fmt.Errorf("the process of %s on node %s: %w", of, node.Name(), err)
	}
	found := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.Join(strings.Fields(value), " ")
	}
	return found, nil
}

// unconfined says what a process may that a unit's may not; empty if nothing.
func unconfined(status map[string]string) string {
	var may []string
	for id := range strings.FieldsSeq(status["Uid"] + " " + status["Gid"]) {
		if id == "0" {
			may = append(may, "it is root")
			break
		}
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(status[set], "0") != "" {
			may = append(may, set+" is "+status[set])
		}
	}
	if status["NoNewPrivs"] != "1" {
		may = append(may, "it may gain privileges")
	}
	if status["Seccomp"] != "2" {
		may = append(may, "its system calls aren't filtered")
	}
	return strings.Join(may, ", ")
}

// confined looks at units as they really run, in nodes that are containers.
func confined(ctx context.Context, t *testing.T, l *lab, _ wall) {
	for _, node := range l.cluster.Nodes() {
		kubelet, err := processStatus(ctx, node, "kubelet.service")
		require.NoError(t, err)
		may := unconfined(kubelet)
		assert.Contains(t, may, "it is root, ", "who isn't confined shows")
		assert.Contains(t, may, "CapEff is ", "who isn't confined shows")
		assert.Contains(t, may, "it may gain privileges", "who isn't confined shows")
		for _, unit := range unitsOf(node) {
			status, err := processStatus(ctx, node, unit)
			require.NoError(t, err)
			assert.Empty(t, unconfined(status), "%s on node %s", unit, node.Name())
		}
		private := []string{ssh.ServerKey, ssh.ServerControl}
		if node.Role() == cluster.ControlPlane {
			private = append(private, ssh.ProxyKey, ssh.ProxyToken, ssh.ProxyControl, ssh.Socket)
		}
		for _, path := range private {
			mode, err := said(ctx, node, `stat -c '%a %U %G' -- "$1"`, path)
			require.NoError(t, err)
			assert.Equal(t, "600 root root", strings.TrimSpace(mode), "%s on node %s", path, node.Name())
		}
	}
}

// withoutServer stops the worker's server, without which nothing on it is reached, and no service either.
func withoutServer(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, l.stopServer(ctx))
	defer func() { assert.NoError(t, l.startServer(context.WithoutCancel(ctx))) }()
	const noNode = "it took too long: no node is connected by which services could be reached"
	for name, err := range use(ctx, l.ways()) {
		if err == nil {
			t.Errorf("%s worked", name)
			continue
		}
		t.Logf("without the server: %v", err)
		switch name {
		case "webhook":
			assert.Contains(t, err.Error(), noNode, name)
		case aggregatedAPI: // the apiserver may have found out by itself that nothing leads there
			if !strings.Contains(err.Error(), "the server is currently unable to handle the request") {
				assert.Contains(t, err.Error(), noNode, name)
			}
		default:
			assert.Contains(t, err.Error(), "it took too long: connecting to node "+l.worker().Name()+" at ", name)
			assert.Contains(t, err.Error(), "connection refused", name)
		}
	}
	counted, err := w.counted(ctx)
	require.NoError(t, err)
	assert.Zero(t, counted[toKubelets]+counted[toPods], "a connection was begun directly")
	require.NoError(t, l.startServer(ctx))
	took, err := l.recovery(ctx)
	require.NoError(t, err)
	assert.LessOrEqual(t, took, recoveryLimit)
	requireTunnelAlone(ctx, t, l, w)
}

// leftScript prints what a node has of SSH tunnels, or of anything else that kubecomm runs there.
const leftScript = `for path; do [ ! -e "$path" ] || find "$path"; done
find /etc/systemd -name 'kubecomm-ssh-*'
systemctl list-units --all --plain --no-legend --full 'kubecomm-ssh-*'
for process in /proc/[0-9]*; do case $(readlink "$process/exe") in */kubecomm-node*) echo "$process runs it";; esac; done
grep --recursive --files-with-matches --no-messages 'OPENSSH PRIVATE KEY' /etc /opt /root /tmp /var/lib/private /run/credentials || :`

func left(ctx context.Context, node *cluster.Node) (string, error) {
	return said(ctx, node, leftScript, ssh.FilesFolder, ssh.SocketFolder, ssh.ServerRun, ssh.ProxyRun, "/opt/kubecomm",
		"/var/lib/"+ssh.ProxyState, "/var/lib/private/"+ssh.ProxyState)
}

func leavesNothing(ctx context.Context, t *testing.T, l *lab, _ wall) {
	for _, node := range l.cluster.Nodes() {
		found, err := left(ctx, node)
		require.NoError(t, err)
		assert.Empty(t, found, "on node %s", node.Name())
	}
	assert.False(t, l.observe(ctx, t).AnySSH())
}

func replacesSSH(ctx context.Context, t *testing.T, l *lab, w wall) {
	for _, node := range l.cluster.Nodes() {
		found, err := left(ctx, node)
		require.NoError(t, err)
		for _, part := range []string{ssh.ServerKey, ssh.ServerControl, "/opt/kubecomm/kubecomm-node", ssh.ServerSocket, "runs it"} {
			assert.Contains(t, found, part, "what there is on node %s is seen", node.Name())
		}
	}
	withTunnel(ctx, t, l, w)
	require.NoError(t, w.lower(ctx))
	leavesNothing(ctx, t, l, w)
	require.NoError(t, w.raise(ctx))
}
