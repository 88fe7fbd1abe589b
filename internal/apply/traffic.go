package apply

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// trafficTable is the nftables table that sends new connections to a trial.
const trafficTable = "kubecomm_swap"

// endpoint is where clients connect to.
type endpoint struct {
	address netip.Addr
	port    string
}

// trafficRules are an nftables script that sends new connections for the endpoints to a local port: connections from
// outside and from the node's pods before routing, those of the node's own processes on output. The priority comes
// before that of kube-proxy's rules (-100), which would otherwise choose a backend for the service's address first; a
// connection is translated once only. The script replaces a table that is there already, in one transaction.
func trafficRules(endpoints []endpoint, port string) string {
	var rules strings.Builder
	for _, e := range endpoints {
		family := "ip"
		if e.address.Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&rules, "\t\t%s daddr %s tcp dport %s redirect to :%s\n", family, e.address, e.port, port)
	}
	chain := func(hook string) string {
		return fmt.Sprintf("\tchain %s {\n\t\ttype nat hook %s priority -150; policy accept;\n%s\t}\n", hook, hook, &rules)
	}
	return fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n%[2]s%[3]s}\n",
		trafficTable, chain("prerouting"), chain("output"))
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

// forgetScript begins scripts that make the kernel forget connections that have ended. A client that uses the same port
// for its next one, within ten seconds of a reset, would otherwise be sent where the last one went, though nobody listens
// there any more. Without the tool that does it, this happens to one request in some thousands.
const forgetScript = `forget_connections() {
  command -v conntrack >/dev/null || return 0
  for family in ipv4 ipv6; do
    for state in CLOSE TIME_WAIT; do
      for port in 443 "$1"; do conntrack -D -f $family -p tcp --dport $port --state $state >/dev/null 2>&1 || :; done
    done
  done
}
`

func moveTraffic(ctx context.Context, node Node, endpoints []endpoint, from, to string) error {
	script := forgetScript + `nft -f - && forget_connections "$1"`
	rules := strings.NewReader(trafficRules(endpoints, to))
	args := []string{"sh", "-c", script, "sh", from}
	if _, err := node.Run(ctx, cluster.Command{Args: args, Stdin: rules}); err != nil {
		return fmt.Errorf("sending new connections to port %s: %w", to, err)
	}
	return nil
}

// moveTrafficBack takes the rules away. Connections that were made under them stay as they are.
func moveTrafficBack(ctx context.Context, node Node, port string) error {
	script := forgetScript + `nft list table inet "$1" >/dev/null 2>&1 || exit 0
nft delete table inet "$1" && forget_connections "$2"`
	if _, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", script, "sh", trafficTable, port}}); err != nil {
		return fmt.Errorf("taking the traffic rules away: %w", err)
	}
	return nil
}
