package apply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

func TestEtcdIsAskedForItsHealthWhereItListensForThat(t *testing.T) {
	tests := map[string]controlplane.Flags{
		"127.0.0.1:2381": nil,
		"[::1]:2381":     {"listen-metrics-urls": {"http://[::1]:2381"}}, // as kubeadm has it on an IPv6 cluster
		"127.0.0.1:2399": {"listen-metrics-urls": {"http://127.0.0.1:2399,http://10.0.0.1:2381"}},
	}
	for want, flags := range tests {
		require.Equal(t, want, etcdHealthAddress(flags))
	}
}
