package route

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func cidrs(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

var (
	controlPlane = Node{Name: "dev-control-plane", Addresses: addresses("172.18.0.2", "fc00::2"), PodCIDRs: cidrs("10.244.0.0/24", "fd00:10:244::/64")}
	worker       = Node{Name: "dev-worker", Hostnames: []string{"worker.example"}, Addresses: addresses("172.18.0.3", "fc00::3"), PodCIDRs: cidrs("10.244.1.0/24", "fd00:10:244:1::/64")}
	services     = cidrs("10.96.0.0/16", "fd00:10:96::/112")
)

func TestWhatIsDialledIsFoundByAddressPodAndService(t *testing.T) {
	nodes := []Node{controlPlane, worker}
	table := New(nodes, nodes, services)
	tests := map[string]struct{ host, node, address, problem string }{
		"a node's address":              {"172.18.0.3", "dev-worker", "172.18.0.3", ""},
		"its other address":             {"fc00::3", "dev-worker", "fc00::3", ""},
		"its address written otherwise": {"::ffff:172.18.0.3", "dev-worker", "172.18.0.3", ""},
		"a pod's":                       {"10.244.1.77", "dev-worker", "10.244.1.77", ""},
		"a pod's of IPv6":               {"fd00:10:244:1::9", "dev-worker", "fd00:10:244:1::9", ""},
		"another node's pod":            {"10.244.0.5", "dev-control-plane", "10.244.0.5", ""},
		"a service's":                   {"10.96.0.10", "", "10.96.0.10", ""},
		"a service's of IPv6":           {"fd00:10:96::a", "", "fd00:10:96::a", ""},
		"a node's name":                 {"dev-worker", "dev-worker", "172.18.0.3", ""},
		"its name in capitals":          {"Dev-Worker", "dev-worker", "172.18.0.3", ""},
		"its other name":                {"worker.example", "dev-worker", "172.18.0.3", ""},
		"a name of nobody's":            {"example.com", "", "", "no node has it: example.com is the name of no node"},
		"an address of nobody's":        {"192.0.2.1", "", "", "no node has it: 192.0.2.1 is no address of a node, a pod or a service"},
		"an address in nobody's range":  {"10.244.2.1", "", "", "no node has it: 10.244.2.1 is no"},
		"the loopback address":          {"127.0.0.1", "", "", "127.0.0.1 is no address"},
		"an address with a zone":        {"fc00::3%eth0", "", "", "is no address"},
		"nothing":                       {"", "", "", "is the name of no node"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := table.Find(test.host)
			if test.problem != "" {
				require.ErrorIs(t, err, ErrNowhere)
				require.ErrorContains(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Target{Node: test.node, Address: netip.MustParseAddr(test.address)}, found)
		})
	}
}

func TestANodeThatNoLongerExistsIsNowhere(t *testing.T) {
	known := []Node{controlPlane, worker}
	before, after := New(known, known, services), New(known, []Node{controlPlane}, services)
	for _, host := range []string{"172.18.0.3", "10.244.1.77", "dev-worker"} {
		_, err := before.Find(host)
		require.NoError(t, err, host)
		_, err = after.Find(host)
		require.ErrorIs(t, err, ErrNowhere, host)
	}
	_, err := after.Find("172.18.0.2")
	require.NoError(t, err, "the other is where it was")
}

func TestAPodCIDRThatMovedLeadsToTheNodeThatHasIt(t *testing.T) {
	moved, emptied := controlPlane, worker
	moved.PodCIDRs, emptied.PodCIDRs = worker.PodCIDRs, nil
	known := []Node{controlPlane, worker}
	for want, told := range map[string][]Node{"dev-worker": known, "dev-control-plane": {moved, emptied}} {
		found, err := New(known, told, services).Find("10.244.1.77")
		require.NoError(t, err)
		require.Equal(t, want, found.Node)
	}
}

func TestOfOverlappingRangesTheLongestCounts(t *testing.T) {
	wide, narrow := controlPlane, worker
	wide.PodCIDRs, narrow.PodCIDRs = cidrs("10.244.0.0/16"), cidrs("10.244.1.0/24", "10.244.7.0/28")
	for _, order := range [][]Node{{wide, narrow}, {narrow, wide}} {
		table := New(nil, order, cidrs("10.244.0.0/15"))
		for host, want := range map[string]string{
			"10.244.1.1": "dev-worker", "10.244.7.15": "dev-worker", "10.244.7.16": "dev-control-plane", "10.244.2.1": "dev-control-plane",
			"10.245.0.1": "",
		} {
			found, err := table.Find(host)
			require.NoError(t, err)
			require.Equal(t, want, found.Node, host)
		}
	}
}

func TestWhatANodeSaysOfItselfDoesNotTakeAnothersAddress(t *testing.T) {
	liar := Node{Name: "liar", Addresses: addresses("172.18.0.3", "172.18.0.9"), Hostnames: []string{"dev-worker"}}
	t.Run("that is known from elsewhere", func(t *testing.T) {
		table := New([]Node{worker}, []Node{liar, worker}, services)
		found, err := table.Find("172.18.0.3")
		require.NoError(t, err)
		require.Equal(t, "dev-worker", found.Node)
		require.Equal(t, addresses("172.18.0.9"), table.Addresses(liar))
		require.Equal(t, worker.Addresses, table.Addresses(worker))
	})
	t.Run("nor one of another's pods, or of a service", func(t *testing.T) {
		liar := Node{Name: "liar", Addresses: addresses("10.244.1.77", "fd00:10:244:1::9", "10.96.0.10", "172.18.0.9")}
		table := New([]Node{worker}, []Node{liar, worker}, services)
		for host, want := range map[string]string{"10.244.1.77": "dev-worker", "fd00:10:244:1::9": "dev-worker", "10.96.0.10": ""} {
			found, err := table.Find(host)
			require.NoError(t, err)
			require.Equal(t, want, found.Node, host)
		}
		require.Equal(t, addresses("172.18.0.9"), table.Addresses(liar))
	})
	t.Run("and of two that only say so, neither has it", func(t *testing.T) {
		table := New(nil, []Node{liar, worker}, services)
		for _, host := range []string{"172.18.0.3", "dev-worker"} {
			_, err := table.Find(host)
			require.ErrorContains(t, err, "nodes liar and dev-worker both claim "+host)
		}
		found, err := table.Find("172.18.0.9")
		require.NoError(t, err)
		require.Equal(t, "liar", found.Node)
	})
}

// manyNodes is a cluster of a thousand.
func manyNodes() []Node {
	var nodes []Node
	for i := range 1000 {
		nodes = append(nodes, Node{
			Name:      fmt.Sprintf("node-%d", i),
			Addresses: addresses(fmt.Sprintf("172.18.%d.%d", i/250, i%250+2), fmt.Sprintf("fc00::%x", i+2)),
			PodCIDRs:  cidrs(fmt.Sprintf("10.%d.%d.0/24", 128+i/256, i%256), fmt.Sprintf("fd00:10:244:%x::/64", i)),
		})
	}
	return nodes
}

func TestAThousandNodesAreFound(t *testing.T) {
	nodes := manyNodes()
	table := New(nodes, nodes, services)
	for i, node := range nodes {
		for _, host := range []string{node.Addresses[0].String(), node.Addresses[1].String(), fmt.Sprintf("10.%d.%d.77", 128+i/256, i%256), node.Name} {
			found, err := table.Find(host)
			require.NoError(t, err)
			require.Equal(t, node.Name, found.Node)
		}
	}
}

func BenchmarkFindAmongAThousandNodes(b *testing.B) {
	nodes := manyNodes()
	table := New(nodes, nodes, services)
	for name, host := range map[string]string{"node": "172.18.3.200", "pod": "10.131.200.77", "podIPv6": "fd00:10:244:3e7::1", "service": "10.96.0.10", "nowhere": "192.0.2.1"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = table.Find(host)
			}
		})
	}
}

func BenchmarkMakeATableOfAThousandNodes(b *testing.B) {
	nodes := manyNodes()
	b.ReportAllocs()
	for b.Loop() {
		New(nodes, nodes, services)
	}
}
