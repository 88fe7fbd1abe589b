package isolate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Check makes sure, while clusters run, that neither this machine nor any node
// would send a packet for a pod or service that does not exist to the default
// route. It reports how many packets the nets have caught.
func Check(ctx context.Context, o Options) error {
	if err := o.Log.Step(ctx, "this machine's routes and rule", func(ctx context.Context) (string, error) {
		if m := missing(ctx, o.Runner); len(m) > 0 {
			return "", problem(errors.New("missing: " + strings.Join(m, "; ")))
		}
		for _, subnet := range Subnets {
			if err := checkRoute(ctx, o.Runner, nil, subnet); err != nil {
				return "", problem(err)
			}
		}
		caught, err := caught(ctx, o.Runner)
		return caught, err
	}); err != nil {
		return err
	}
	list, err := command.Output(ctx, o.Runner, "docker", "ps", "--filter", "label="+clusterLabel(o.Cluster),
		"--format", `{{.Names}} {{.Label "io.x-k8s.kind.role"}}`)
	if err != nil {
		return problem(err)
	}
	for line := range strings.Lines(list) {
		name, role, _ := strings.Cut(strings.TrimSpace(line), " ")
		if role == "external-load-balancer" {
			continue // it passes on connections and routes nothing
		}
		if err := o.Log.Step(ctx, "node "+name, func(ctx context.Context) (string, error) {
			return checkNode(ctx, o.Runner, name)
		}); err != nil {
			return err
		}
	}
	return nil
}

// clusterLabel is on the containers of a cluster, or of all (kind v0.33.0,
// pkg/cluster/internal/providers/docker/constants.go).
func clusterLabel(name string) string {
	const label = "io.x-k8s.kind.cluster"
	if name == "" {
		return label
	}
	return label + "=" + name
}

var kubeadmSubnets = regexp.MustCompile(`(?m)^\s*(?:podSubnet|serviceSubnet):\s*"?([0-9a-fA-F:./,]+)`)

func checkNode(ctx context.Context, r command.Runner, name string) (string, error) {
	in := []string{"docker", "exec", name}
	// kind keeps what it gave kubeadm on every node (kind v0.33.0,
	// pkg/cluster/internal/create/actions/config).
	config, err := command.Output(ctx, r, append(in, "cat", "/kind/kubeadm.conf")...)
	if err != nil {
		return "", problem(err)
	}
	var subnets []string
	for _, m := range kubeadmSubnets.FindAllStringSubmatch(config, -1) {
		subnets = append(subnets, strings.Split(m[1], ",")...)
	}
	if len(subnets) == 0 {
		return "", problem(fmt.Errorf("no subnets in /kind/kubeadm.conf of node %s", name))
	}
	for _, subnet := range subnets {
		if err := checkRoute(ctx, r, in, subnet); err != nil {
			return "", problem(fmt.Errorf("node %s: %w", name, err))
		}
	}
	return "nothing for " + strings.Join(subnets, ", ") + " takes the default route", nil
}

// checkRoute asks the kernel where a packet for an unused address of a subnet
// would go.
func checkRoute(ctx context.Context, r command.Runner, in []string, subnet string) error {
	address, err := unused(subnet)
	if err != nil {
		return err
	}
	ip := append(append([]string{}, in...), "ip", family(subnet), "route")
	gateway, err := command.Output(ctx, r, append(ip, "show", "default")...)
	if err != nil {
		return err
	}
	route, err := command.Output(ctx, r, append(ip, "get", address)...)
	switch {
	case err != nil && !goesNowhere(err):
		return err
	case err == nil && leaves(route, gateway):
		return fmt.Errorf("a packet for %s would leave by the default route: %s", address, route)
	}
	return nil
}

// goesNowhere reports whether `ip route get` failed with what the kernel says
// of a blackhole route (EINVAL), of an unreachable one, or where the family has
// no route at all (linux, net/ipv4/fib_semantics.c: fib_props).
func goesNowhere(err error) bool {
	for _, answer := range []string{"Invalid argument", "No route to host", "Network is unreachable", "Permission denied"} {
		if strings.Contains(err.Error(), "RTNETLINK answers: "+answer) {
			return true
		}
	}
	return false
}

var via = regexp.MustCompile(`\bvia (\S+)`)

// leaves reports whether a route that `ip route get` printed is a default one.
func leaves(route, defaults string) bool {
	hop := via.FindStringSubmatch(route)
	if hop == nil {
		return false // connected: a bridge, the sink, or the machine itself
	}
	for _, gateway := range via.FindAllStringSubmatch(defaults, -1) {
		if gateway[1] == hop[1] {
			return true
		}
	}
	return false
}

// unused returns an address near a subnet's end, where neither pods nor
// services are placed until all others are taken.
func unused(subnet string) (string, error) {
	p, err := netip.ParsePrefix(subnet)
	if err != nil {
		return "", err
	}
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8-2; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Next().String(), nil
}

var counter = regexp.MustCompile(`counter packets (\d+)`)

func caught(ctx context.Context, r command.Runner) (string, error) {
	table, err := command.Output(ctx, r, "nft", "list", "table", "inet", Table)
	if err != nil {
		return "", &report.Problem{Attempted: "to read the counters of nftables table " + Table, Remedy: "see that `nft` works for root", Err: err}
	}
	var counts []string
	for _, m := range counter.FindAllStringSubmatch(table, -1) {
		counts = append(counts, m[1])
	}
	return "packets stopped at this machine's edge: " + strings.Join(counts, " IPv4, ") + " IPv6", nil
}
