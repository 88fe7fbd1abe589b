// Package isolate keeps packets for pod and service addresses on the machine.
//
// A cluster whose network is incomplete, or a proxy that is asked for an
// address that has no pod, sends such packets to the default route, and on a
// network where those addresses mean something else, something else answers.
// Three nets catch them: a route in every node (package image), blackhole
// routes on the machine for kind's default subnets, and a rule that rejects
// whatever a container would send from the machine to a private address.
package isolate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Subnets are the pod and service subnets that kind uses by default (kind
// v0.33.0, pkg/apis/config/v1alpha4/default.go).
var Subnets = []string{"10.244.0.0/16", "10.96.0.0/16", "fd00:10:244::/56", "fd00:10:96::/112"}

// Table is the name of the nftables table on the machine.
const Table = "kubecomm_isolation"

// ruleset loads as a whole or not at all. The first two lines make loading it
// twice possible: `add` does not mind that the table is there, `delete` would
// if it were not.
//
// The addresses are every range that is not routed on the internet, and in
// which pods and services are ever placed: RFC 1918, 6598, 3927 and 4193. What
// goes from one container network to another is not concerned. Rejected rather
// than dropped, so that who asked learns it at once.
const ruleset = `add table inet ` + Table + `
delete table inet ` + Table + `
table inet ` + Table + ` {
	set private4 {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16 }
	}
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname { "docker0", "br-*" } oifname != { "docker0", "br-*" } ip daddr @private4 counter reject with icmpx type admin-prohibited
		iifname { "docker0", "br-*" } oifname != { "docker0", "br-*" } ip6 daddr fc00::/7 counter reject with icmpx type admin-prohibited
	}
}
`

// Options are what the functions of this package work with.
type Options struct {
	Runner command.Runner
	Log    *report.Log
	// ReadOnly forbids any change to the machine.
	ReadOnly bool
	// Cluster is the one whose nodes Check looks at; "" for all there are.
	Cluster string
}

// Ensure puts the machine's routes and rule in place.
func Ensure(ctx context.Context, o Options) error {
	return o.Log.Step(ctx, "no packet for a pod or service leaves this machine", func(ctx context.Context) (string, error) {
		absent := missing(ctx, o.Runner)
		if len(absent) == 0 {
			return "in place", nil
		}
		if o.ReadOnly {
			return "", &report.Problem{
				Attempted: "to find the routes and the rule that keep packets for pods and services on this machine",
				Remedy:    "run this without KUBECOMM_ENV_INSTALL=0; it would add: " + strings.Join(absent, "; "),
				Err:       errors.New("missing: " + strings.Join(absent, "; ")),
			}
		}
		for _, subnet := range Subnets {
			if err := addRoute(ctx, o.Runner, subnet); err != nil {
				return "", problem(err)
			}
		}
		if _, err := o.Runner.Run(ctx, command.Cmd{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(ruleset)}); err != nil {
			return "", problem(err)
		}
		if left := missing(ctx, o.Runner); len(left) > 0 {
			return "", problem(errors.New("still missing: " + strings.Join(left, "; ")))
		}
		return strings.Join(absent, "; "), nil
	})
}

func problem(err error) error {
	return &report.Problem{
		Attempted: "to keep packets for pods and services on this machine",
		Remedy:    "start no cluster before this works; see that `ip route` and `nft` work for root",
		Err:       err,
	}
}

// missing lists what is not in place yet.
func missing(ctx context.Context, r command.Runner) []string {
	var m []string
	for _, subnet := range Subnets {
		if ok, err := hasRoute(ctx, r, subnet); err != nil || !ok {
			m = append(m, "blackhole route for "+subnet)
		}
	}
	table, err := command.Output(ctx, r, "nft", "list", "table", "inet", Table)
	if err != nil || strings.Count(table, "reject") < 2 {
		m = append(m, "nftables table inet "+Table)
	}
	return m
}

func family(subnet string) string {
	if strings.Contains(subnet, ":") {
		return "-6"
	}
	return "-4"
}

func hasRoute(ctx context.Context, r command.Runner, subnet string) (bool, error) {
	out, err := command.Output(ctx, r, "ip", family(subnet), "route", "show", "type", "blackhole", subnet)
	return strings.Contains(out, subnet), err
}

func addRoute(ctx context.Context, r command.Runner, subnet string) error {
	if ok, err := hasRoute(ctx, r, subnet); err == nil && ok {
		return nil
	}
	// The metric is the worst there is: a route that somebody has for exactly
	// this subnet, say to a cluster of their own, goes on working.
	_, err := r.Run(ctx, command.Cmd{Args: []string{"ip", family(subnet), "route", "add", "blackhole", subnet, "metric", "4294967295"}})
	if err != nil {
		return fmt.Errorf("blackhole route for %s: %w", subnet, err)
	}
	return nil
}
