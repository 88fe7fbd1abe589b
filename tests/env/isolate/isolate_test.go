package isolate

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// machine is a Runner that stands for a machine: it knows what `ip` and `nft`
// were told, and refuses all else.
type machine struct {
	blackholes map[string]bool
	table      bool
	changes    []string
	nodes      map[string]string // node → what `ip route get` answers there
}

func (m *machine) Run(_ context.Context, c command.Cmd) (string, error) {
	line := strings.Join(c.Args, " ")
	if c.Args[0] == "docker" && c.Args[1] == "exec" {
		return m.inNode(c.Args[2], c.Args[3:])
	}
	last := c.Args[len(c.Args)-1]
	switch {
	case strings.Contains(line, "route show type blackhole"):
		if m.blackholes[last] {
			return "blackhole " + last + "\n", nil
		}
		return "", nil
	case strings.Contains(line, "route add blackhole"):
		m.changes = append(m.changes, line)
		m.blackholes[c.Args[5]] = true
		return "", nil
	case strings.Contains(line, "route get"):
		return "", errors.New("RTNETLINK answers: Invalid argument")
	case strings.HasSuffix(line, "route show default"):
		return "default via 192.0.2.1 dev eth0", nil
	case line == "nft list table inet "+Table:
		if !m.table {
			return "", errors.New("No such file or directory")
		}
		return "counter packets 3 bytes 1 reject\ncounter packets 0 bytes 0 reject", nil
	case line == "nft -f -":
		text, err := io.ReadAll(c.Stdin)
		m.changes = append(m.changes, line)
		m.table = strings.Contains(string(text), "table inet "+Table)
		return "", err
	case strings.HasPrefix(line, "docker ps"):
		var list string
		for n := range m.nodes {
			list += n + " worker\n"
		}
		return list + "c-external-load-balancer external-load-balancer\n", nil
	}
	return "", errors.New("unexpected command: " + line)
}

func (m *machine) inNode(name string, args []string) (string, error) {
	switch line := strings.Join(args, " "); {
	case line == "cat /kind/kubeadm.conf":
		return "networking:\n  podSubnet: \"10.244.0.0/16\"\n  serviceSubnet: 10.96.0.0/16\n", nil
	case strings.HasSuffix(line, "route show default"):
		return "default via 172.18.0.1 dev eth0", nil
	default:
		return m.nodes[name], nil
	}
}

func options(m *machine) (Options, *strings.Builder) {
	var out strings.Builder
	return Options{Runner: m, Log: report.NewLog(&out, func() time.Time { return time.Time{} })}, &out
}

func TestEverythingThatIsMissingIsAddedOnceAndThenLeftAlone(t *testing.T) {
	m := &machine{blackholes: map[string]bool{"10.96.0.0/16": true}}
	o, _ := options(m)
	if err := Ensure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if len(m.changes) != 4 || !m.table || len(m.blackholes) != len(Subnets) {
		t.Errorf("changes: %q", m.changes)
	}
	if err := Ensure(t.Context(), o); err != nil || len(m.changes) != 4 {
		t.Errorf("a second run: error %v, changes %q", err, m.changes)
	}
}

func TestWhereNothingMayBeChangedTheMissingPartsAreNamed(t *testing.T) {
	m := &machine{blackholes: map[string]bool{}}
	o, _ := options(m)
	o.ReadOnly = true
	err := Ensure(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "blackhole route for fd00:10:96::/112") || !strings.Contains(err.Error(), Table) {
		t.Errorf("got %v", err)
	}
	if len(m.changes) != 0 {
		t.Errorf("changed all the same: %q", m.changes)
	}
}

func TestANodeThatWouldUseTheDefaultRouteFailsTheCheck(t *testing.T) {
	all := map[string]bool{}
	for _, s := range Subnets {
		all[s] = true
	}
	for name, c := range map[string]struct{ route, want string }{
		"the sink":              {"10.244.255.254 dev kubecomm-sink src 172.18.0.2", ""},
		"another node":          {"10.244.255.254 via 172.18.0.3 dev eth0", ""},
		"the container network": {"10.244.255.254 dev eth0 src 172.18.0.2", ""},
		"the default route":     {"10.244.255.254 via 172.18.0.1 dev eth0 src 172.18.0.2", "node n: a packet for 10.244.255.253 would leave by the default route"},
	} {
		m := &machine{blackholes: all, table: true, nodes: map[string]string{"n": c.route}}
		o, out := options(m)
		err := Check(t.Context(), o)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("by way of %s: got %v", name, err)
		}
		if !strings.Contains(out.String(), "3 IPv4, 0 IPv6") {
			t.Errorf("the counters are not reported: %s", out)
		}
	}
}

func TestAnUnusedAddressIsTakenFromTheEndOfASubnet(t *testing.T) {
	for subnet, want := range map[string]string{
		"10.244.0.0/16":    "10.244.255.253",
		"10.96.0.0/12":     "10.111.255.253",
		"fd00:10:96::/112": "fd00:10:96::fffd",
	} {
		if got, err := unused(subnet); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", subnet, got, err, want)
		}
	}
	if _, err := unused("10.244.0.0"); err == nil {
		t.Error("an address was taken for a subnet")
	}
}

func TestTheRulesetRejectsPrivateAddressesOfBothFamilies(t *testing.T) {
	for _, part := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "delete table inet " + Table} {
		if !strings.Contains(ruleset, part) {
			t.Errorf("no %s in the ruleset", part)
		}
	}
}
