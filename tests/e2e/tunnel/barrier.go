package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

const barrierTable = "kubecomm_barrier"

// The counters of a barrier, which name what connections were for.
const (
	toKubelets = "kubelets" // port 10250 of other nodes
	toWorkers  = "workers"  // their other ports
	toPods     = "pods"     // that run on workers
	toTunnel   = "tunnel"   // what workers have of it, and nothing of this is dropped
)

// barrier drops what processes of a control plane, the apiserver among them, begin with other nodes and their pods by
// themselves, and counts it. What agents begin with the control plane goes on.
type barrier struct {
	node    *cluster.Node
	workers []*cluster.Node
	others  []*cluster.Node // control planes, whose etcd, apiserver and tunnel's server the node needs
	pods    []netip.Prefix  // of the workers
	port    uint16          // of workers, that leads into the tunnel; 0 if none does
}

// wall is a barrier in each control plane.
type wall []barrier

// around is the same wall with a port of workers left open, unless it is 0.
func (w wall) around(port uint16) wall {
	w = slices.Clone(w)
	for i := range w {
		w[i].port = port
	}
	return w
}

func (w wall) raise(ctx context.Context) error {
	for _, b := range w {
		if err := b.raise(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w wall) lower(ctx context.Context) error {
	var problems error
	for _, b := range w {
		problems = errors.Join(problems, b.lower(ctx))
	}
	return problems
}

// counted adds up what all of them have.
func (w wall) counted(ctx context.Context) (map[string]int, error) {
	all := map[string]int{}
	for _, b := range w {
		counts, err := b.counted(ctx)
		if err != nil {
			return nil, err
		}
		for name, count := range counts {
			all[name] += count
		}
	}
	return all, nil
}

func family(address netip.Addr) string {
	if address.Is6() {
		return "ip6"
	}
	return "ip"
}

func (b barrier) rules() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {", barrierTable) // whatever there was
	for _, counter := range []string{toKubelets, toWorkers, toPods, toTunnel} {
		line("counter %s { }", counter)
	}
	line("chain output { type filter hook output priority 0; policy accept;")
	// Of connections that the control plane began, also before, every packet; those that others began with it go on.
	begun := "meta l4proto tcp ct direction original"
	for _, worker := range b.workers {
		for _, address := range worker.Addresses() {
			if b.port != 0 {
				line("%s daddr %s tcp dport %d %s counter name %s accept", family(address), address, b.port, begun, toTunnel)
			}
			line("%s daddr %s tcp dport 10250 %s counter name %s drop", family(address), address, begun, toKubelets)
			line("%s daddr %s %s counter name %s drop", family(address), address, begun, toWorkers)
		}
	}
	for _, other := range b.others {
		for _, address := range other.Addresses() {
			line("%s daddr %s tcp dport 10250 %s counter name %s drop", family(address), address, begun, toKubelets)
		}
	}
	for _, prefix := range b.pods {
		line("%s daddr %s %s counter name %s drop", family(prefix.Addr()), prefix, begun, toPods)
	}
	line("}\n}")
	return text.String()
}

// endScript ends connections that no process has any more, and fails while there are any. Not every kernel can be told to.
const endScript = `orphans() { ss --no-header --tcp --numeric "$@" state fin-wait-1 state last-ack state closing; }
orphans --kill >/dev/null
left=$(orphans)
[ -z "$left" ] || { echo "$left" >&2; exit 1; }`

// orphanLimit is longer than a kernel tries to end a connection by itself.
const orphanLimit = 3 * time.Minute

// raise begins to count anew, also where there is one already. What an apiserver had begun that has ended since then is out of the
// way: its kernel says for minutes, to whom nothing gets through, that it has ended.
func (b barrier) raise(ctx context.Context) error {
	what := "node " + b.node.Name() + " to have no connections of processes that have ended"
	err := wait.Until(ctx, what, wait.Options{Limit: orphanLimit}, func(ctx context.Context) error {
		_, err := b.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", endScript}})
		return err
	})
	if err != nil {
		return err
	}
	_, err = b.node.Run(ctx, cluster.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(b.rules())})
	return err
}

func (b barrier) lower(ctx context.Context) error {
	_, err := b.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", `! nft list table inet "$1" >/dev/null 2>&1 || nft delete table inet "$1"`,
		"sh", barrierTable}})
	return err
}

// counted returns how many packets there were of connections that were begun, by what for.
func (b barrier) counted(ctx context.Context) (map[string]int, error) {
	output, err := b.node.Run(ctx, cluster.Command{Args: []string{"nft", "--json", "list", "counters", "table", "inet", barrierTable}})
	if err != nil {
		return nil, err
	}
	var found struct {
		NFTables []struct {
			Counter *struct {
				Name    string
				Packets int
			}
		}
	}
	if err := json.Unmarshal(output, &found); err != nil {
		return nil, fmt.Errorf("what nft says of its counters: %w", err)
	}
	counts := map[string]int{}
	for _, one := range found.NFTables {
		if one.Counter != nil {
			counts[one.Counter.Name] = one.Counter.Packets
		}
	}
	return counts, nil
}
