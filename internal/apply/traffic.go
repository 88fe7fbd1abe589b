package apply

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trafficTable is the nftables table that sends new connections to a trial.
const trafficTable = "kubecomm_swap"

// endpoint is where clients connect to.
type endpoint struct {
	address netip.Addr
	port    string
}

// family is how rules name what belongs to a version of the Internet protocol.
type family struct{ name, kind, moved, opened, follow string }

var families = []family{
	{"ip", "ipv4_addr", "moved4", "opened4", "follow4"},
	{"ip6", "ipv6_addr", "moved6", "opened6", "follow6"},
}

func (e endpoint) family() family {
	if e.address.Is6() {
		return families[1]
	}
	return families[0]
}

func (e endpoint) match() string {
	return fmt.Sprintf("%s daddr %s tcp dport %s", e.family().name, e.address, e.port)
}

// trafficRules are an nftables script that sends new connections for the endpoints to a local port: connections from
// outside and from the node's pods before routing, those of the node's own processes on output. The priority comes
// before that of kube-proxy's rules (-100), which would otherwise choose a backend for the service's address first; a
// connection is translated once only. The script replaces a table that is there already, in one transaction.
//
// The kernel doesn't ask rules where a connection goes that it knows, and for minutes it may know one that has ended: a
// client's next one from the same port would follow it past the rules. So new connections are tracked in a zone of their
// own, named by the local port, where nothing is known of those that went elsewhere: a SYN puts the client's address and
// port into a set, and what is to or from a client in the set belongs to the zone.
func trafficRules(endpoints []endpoint, port string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {", trafficTable)
	for _, f := range families {
		line("\tset %s { type %s . inet_service; size 65535; flags dynamic,timeout; timeout 1h; }", f.moved, f.kind)
		line("\tchain %s {\n\t\tupdate @%s { %s saddr . tcp sport }\n\t}", f.opened, f.moved, f.name)
		line("\tchain %s {", f.follow)
		line("\t\ttcp flags & (fin|syn|rst|ack) == syn jump %s", f.opened)
		line("\t\t%s saddr . tcp sport @%s ct zone set %s", f.name, f.moved, port)
		line("\t}")
	}
	for _, hook := range []string{"prerouting", "output"} {
		line("\tchain %s_zone {\n\t\ttype filter hook %[1]s priority -300; policy accept;", hook)
		for _, e := range endpoints {
			line("\t\t%s jump %s", e.match(), e.family().follow)
		}
		if hook == "output" {
			for _, f := range families {
				line("\t\ttcp sport %s %s daddr . tcp dport @%s ct zone set %[1]s", port, f.name, f.moved)
			}
		}
		line("\t}\n\tchain %s {\n\t\ttype nat hook %[1]s priority -150; policy accept;", hook)
		for _, e := range endpoints {
			line("\t\t%s redirect to :%s", e.match(), port)
		}
		line("\t}")
	}
	line("}")
	return b.String()
}

// backRules are an nftables script that lets new connections go where they are for. Those that went to the trial, and are
// in its zone, stay there.
func backRules() string {
	var b strings.Builder
	for _, hook := range []string{"prerouting", "output"} {
		fmt.Fprintf(&b, "flush chain inet %s %s\n", trafficTable, hook)
	}
	for _, f := range families {
		fmt.Fprintf(&b, "flush chain inet %[1]s %[2]s\nadd rule inet %[1]s %[2]s delete @%[3]s { %[4]s saddr . tcp sport }\n",
			trafficTable, f.opened, f.moved, f.name)
	}
	return b.String()
}

// endpointsOf lists where clients reach the node's apiserver: at its own addresses, and at the kubernetes service's,
// of which the trial is asked.
func (s *swap) endpointsOf(ctx context.Context) ([]endpoint, error) {
	var endpoints []endpoint
	for _, address := range s.real.node.Addresses() {
		endpoints = append(endpoints, endpoint{address, s.real.port})
	}
	client, err := s.trial.client(ctx, s.target)
	if err != nil {
		return nil, err
	}
	defer client.close()
	service, err := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the kubernetes service: %w", err)
	}
	for _, text := range service.Spec.ClusterIPs {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("the kubernetes service's address: %w", err)
		}
		for _, port := range service.Spec.Ports {
			endpoints = append(endpoints, endpoint{address, fmt.Sprint(port.Port)})
		}
	}
	return endpoints, nil
}

func moveTraffic(ctx context.Context, node Node, endpoints []endpoint, port string) error {
	rules := strings.NewReader(trafficRules(endpoints, port))
	if err := duringSwap(ctx, node, rules, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("sending new connections to port %s: %w", port, err)
	}
	return nil
}

// moveTrafficBack has new connections go to where they are for again. The table stays until the trial has ended.
func moveTrafficBack(ctx context.Context, node Node) error {
	script := `! nft list table inet "$1" >/dev/null 2>&1 || exec nft -f -`
	rules := strings.NewReader(backRules())
	if err := duringSwap(ctx, node, rules, "sh", "-c", script, "sh", trafficTable); err != nil {
		return fmt.Errorf("sending new connections back: %w", err)
	}
	return nil
}

// drainScript begins scripts that end an instance. It waits until the instance has accepted every connection that the
// kernel made for it, and none of its connections has ended for half a second: those that are for one request then have
// had their answer, on a busy machine too, and those that are left are held open by clients that know how to go on.
const drainScript = `drain() {
  before= still=0 tries=100
  while [ $still -lt 5 ] && [ $tries -gt 0 ]; do
    sleep 0.1
    waiting=$(ss --no-header --tcp --listening --numeric "sport = :$1" | awk '{ n += $2 } END { print n + 0 }')
    now=$(ss --no-header --tcp --numeric state connected exclude time-wait "sport = :$1" | awk '{ print $4, $5 }')
    ended=$(printf %s "$before" | grep --count --invert-match --line-regexp --fixed-strings -e "$now")
    if [ "$waiting" = 0 ] && [ "$ended" = 0 ]; then still=$((still + 1)); else still=0; fi
    before=$now tries=$((tries - 1))
  done
}
`

// refuseScript begins scripts that end etcd. While etcd is away, the apiserver leaves its clients waiting, and the kubelet
// waits for the apiserver before it starts a static pod: for an answer about the mirror pod of the one that was there
// before (Kubernetes v1.37.1, pkg/kubelet/kubelet.go, tryReconcileMirrorPods). So etcd would be away for a minute. Refused
// at once, the kubelet goes on, as it does on a node without an apiserver. The rules concern the processes of the node
// itself, and end when something listens on a port again, or after half a minute.
const refuseScript = `refuse_table=` + refuseTable + `
refuse() {
  server=$(sed -n 's,^ *server: *https://,,p' /etc/kubernetes/kubelet.conf)
  host=${server%:*} port=${server##*:}
  host=${host#[} host=${host%]}
  {
    echo "table inet $refuse_table"
    echo "delete table inet $refuse_table"
    echo "table inet $refuse_table { chain output {"
    echo "type filter hook output priority 0; policy accept;"
    getent ahosts "$host" | awk '{ print $1 }' | sort -u | while read -r address; do
      case $address in *:*) family=ip6 ;; *) family=ip ;; esac
      echo "$family daddr $address tcp dport $port reject with tcp reset"
    done
    echo "}"
    echo "}"
  } | nft -f - || :
}
serve_again() {
  tries=300
  while [ $tries -gt 0 ] && [ -z "$(ss --no-header --tcp --listening --numeric "sport = :$1")" ]; do
    sleep 0.1
    tries=$((tries - 1))
  done
  nft delete table inet $refuse_table || :
}
`

// refuseTable is the nftables table that refuses the node's own connections to the API.
const refuseTable = "kubecomm_refuse"
