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
	chain prerouting {
		type nat hook prerouting priority -150; policy accept;
		ip daddr 172.18.0.2 tcp dport 6443 redirect to :7443
		ip6 daddr fc00::2 tcp dport 6443 redirect to :7443
		ip daddr 10.96.0.1 tcp dport 443 redirect to :7443
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
