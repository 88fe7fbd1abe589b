package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// Role is what a node is for.
type Role string

// The roles of Kubernetes nodes, as kind v0.33.0 labels their containers (pkg/cluster/constants/constants.go).
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// commandLimit bounds a command on a node whose context has no earlier deadline.
const commandLimit = 2 * time.Minute

// cutLimit is how much longer than its limit a command may take until it is given up.
const cutLimit = 10 * time.Second

// Node is a container that is a Kubernetes node.
type Node struct {
	name      string
	role      Role
	addresses []netip.Addr
	engine    nodes.Node // runs processes
	container Container
	shell     shell
}

// Name is the container's name, which kind also makes the Kubernetes node's name.
func (n *Node) Name() string { return n.name }

// Role tells control planes from workers.
func (n *Node) Role() Role { return n.role }

// Addresses are those that the container engine gave the node, IPv4 before IPv6: not what the node says of itself. A
// container that isn't running has none.
func (n *Node) Addresses() []netip.Addr { return slices.Clone(n.addresses) }

// Container is how the engine saw the node.
func (n *Node) Container() Container { return n.container }

// Command is a program to run on a node.
type Command struct {
	Args  []string
	Stdin io.Reader // nil for none
}

// Run runs a command on the node as root and returns its standard output. A failure is a *CommandError. The command is
// ended inside the node when the context's deadline has passed, or after two minutes: cancelling the context alone leaves
// it to itself.
func (n *Node) Run(ctx context.Context, command Command) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	input, more, err := readInput(command.Stdin)
	if err != nil {
		return nil, fmt.Errorf("reading the input of %s: %w", command.Args[0], err)
	}
	release, err := takeTurn(ctx)
	if err != nil {
		return nil, newCommandError(n.name, command.Args[0], "", err)
	}
	defer release()
	if more != nil {
		err = n.execLimited(ctx, Command{command.Args, more}, &stdout, &stderr)
	} else {
		err = n.limited(ctx, command.Args, func(ctx context.Context, args []string) error {
			return n.shell.run(ctx, args, input, &stdout, &stderr)
		})
	}
	if ended, ok := errors.AsType[*CommandError](err); ok { // what ran was the shell
		return nil, newCommandError(n.name, command.Args[0], ended.Stderr, ended.Err)
	}
	if err != nil {
		return nil, newCommandError(n.name, command.Args[0], stderr.String(), err)
	}
	return stdout.Bytes(), nil
}

// execLimited runs a command by a process of the engine's, as do exec and startShell. Their callers have a turn.
func (n *Node) execLimited(ctx context.Context, command Command, stdout, stderr io.Writer) error {
	return n.limited(ctx, command.Args, func(ctx context.Context, args []string) error {
		return n.exec(ctx, Command{args, command.Stdin}, stdout, stderr)
	})
}

// limited has a command end in time, inside the node and here.
func (n *Node) limited(ctx context.Context, args []string, run func(context.Context, []string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := commandLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	// A node that is paused can't end its commands itself.
	ctx, cancel := context.WithTimeoutCause(ctx, limit+cutLimit, fmt.Errorf("the node didn't end a command after %s", limit))
	defer cancel()
	seconds := strconv.Itoa(int(math.Ceil(limit.Seconds())))
	return run(ctx, append([]string{"timeout", "--kill-after=5", seconds}, args...))
}

func (n *Node) exec(ctx context.Context, command Command, stdout, stderr io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cmd := n.engine.CommandContext(ctx, command.Args[0], command.Args[1:]...).SetStdout(stdout).SetStderr(stderr)
	if command.Stdin != nil {
		cmd.SetStdin(command.Stdin)
	}
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	return nil
}

// givingWay has a process in a node leave what it can to the pods of the node, which share the node's part of the processor
// with it: an observation is a burst of small commands, and clients of the API wait meanwhile.
func givingWay(args ...string) Command {
	return Command{Args: append([]string{"nice", "-n", "5"}, args...)}
}

func (n *Node) startShell() (*stream, error) {
	return n.attach(context.Background(), n.exec, givingWay("bash", "-c", shellScript), func(err error) error { return err })
}
