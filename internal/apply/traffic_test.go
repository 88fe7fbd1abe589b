package apply

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTrafficRulesSendEveryEndpointToTheTrialAndLeaveLoopbackAlone(t *testing.T) {
	rules := trafficRules([]endpoint{
		{netip.MustParseAddr("172.18.0.2"), "6443"},
		{netip.MustParseAddr("fc00::2"), "6443"},
		{netip.MustParseAddr("10.96.0.1"), "443"},
	}, "7443")
	require.Equal(t, `table inet kubecomm_swap
delete table inet kubecomm_swap
table inet kubecomm_swap {
	set moved4 { type ipv4_addr . inet_service; size 65535; flags dynamic,timeout; timeout 1h; }
	chain opened4 {
		update @moved4 { ip saddr . tcp sport }
	}
	chain follow4 {
		tcp flags & (fin|syn|rst|ack) == syn jump opened4
		ip saddr . tcp sport @moved4 ct zone set 7443
	}
	set moved6 { type ipv6_addr . inet_service; size 65535; flags dynamic,timeout; timeout 1h; }
	chain opened6 {
		update @moved6 { ip6 saddr . tcp sport }
	}
	chain follow6 {
		tcp flags & (fin|syn|rst|ack) == syn jump opened6
		ip6 saddr . tcp sport @moved6 ct zone set 7443
	}
	chain prerouting_zone {
		type filter hook prerouting priority -300; policy accept;
		ip daddr 172.18.0.2 tcp dport 6443 jump follow4
		ip6 daddr fc00::2 tcp dport 6443 jump follow6
		ip daddr 10.96.0.1 tcp dport 443 jump follow4
	}
	chain prerouting {
		type nat hook prerouting priority -150; policy accept;
		ip daddr 172.18.0.2 tcp dport 6443 redirect to :7443
		ip6 daddr fc00::2 tcp dport 6443 redirect to :7443
		ip daddr 10.96.0.1 tcp dport 443 redirect to :7443
	}
	chain output_zone {
		type filter hook output priority -300; policy accept;
		ip daddr 172.18.0.2 tcp dport 6443 jump follow4
		ip6 daddr fc00::2 tcp dport 6443 jump follow6
		ip daddr 10.96.0.1 tcp dport 443 jump follow4
		tcp sport 7443 ip daddr . tcp dport @moved4 ct zone set 7443
		tcp sport 7443 ip6 daddr . tcp dport @moved6 ct zone set 7443
	}
	chain output {
		type nat hook output priority -150; policy accept;
		ip daddr 172.18.0.2 tcp dport 6443 redirect to :7443
		ip6 daddr fc00::2 tcp dport 6443 redirect to :7443
		ip daddr 10.96.0.1 tcp dport 443 redirect to :7443
	}
}
`, rules)
}

func TestTrafficGoesBackWhileTheTrialsClientsStayWithIt(t *testing.T) {
	require.Equal(t, `flush chain inet kubecomm_swap prerouting
flush chain inet kubecomm_swap output
flush chain inet kubecomm_swap opened4
add rule inet kubecomm_swap opened4 delete @moved4 { ip saddr . tcp sport }
flush chain inet kubecomm_swap opened6
add rule inet kubecomm_swap opened6 delete @moved6 { ip6 saddr . tcp sport }
`, backRules())
}
