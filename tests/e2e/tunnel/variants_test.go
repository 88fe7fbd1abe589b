package tunnel

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
)

// variantsVariable has the clusters made that take too long for each run of make test.
const variantsVariable = "KUBECOMM_TUNNELS"

func onlyWithVariants(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv(variantsVariable) != "all" {
		t.Skipf("%s is not all; make tunnels sets it", variantsVariable)
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	t.Cleanup(stop)
	return ctx
}

func TestTheTunnelCarriesWhateverFamilyAddressesAreOf(t *testing.T) {
	ctx := onlyWithVariants(t)
	for _, v := range []variant{
		{name: "IPv6", controlPlanes: 1, ipFamily: "ipv6"},
		{name: "IPv4 and IPv6", controlPlanes: 1, ipFamily: "dual"},
	} {
		t.Run(v.name, func(t *testing.T) {
			l := newLab(ctx, t, v)
			withoutTunnel(ctx, t, l, l.wall())
			for _, l.kind = range []kind{byKonnectivity, bySSH} {
				passed := t.Run(string(l.kind.mode), func(t *testing.T) {
					w := l.wall().around(l.port())
					withTunnel(ctx, t, l, w)
					countsExecs(ctx, t, l, w)
					recoversFromKills(ctx, t, l, recoveryLimit)
					requireTunnelAlone(ctx, t, l, w)
				})
				if !passed {
					return
				}
			}
			require.NoError(t, l.wall().lower(ctx))
			takesAway(ctx, t, l)
		})
	}
}

func TestProxiesOfSeveralControlPlanesAreConnectedToEveryNode(t *testing.T) {
	ctx := onlyWithVariants(t)
	l := newLab(ctx, t, variant{controlPlanes: 3})
	withoutTunnel(ctx, t, l, l.wall())
	l.kind = bySSH
	w := l.wall().around(l.port())
	withTunnel(ctx, t, l, w)
	for name, direct := range l.eachAPIServer(ctx, t) {
		t.Run("the apiserver of "+name, func(t *testing.T) {
			requireAllWork(ctx, t, direct)
			countsExecs(ctx, t, direct, w)
			recoversFromKills(ctx, t, direct, recoveryLimit)
			requireTunnelAlone(ctx, t, direct, w)
		})
	}
	exchangesKeys(ctx, t, l, w)
	require.NoError(t, w.lower(ctx))
	takesAway(ctx, t, l)
	leavesNothing(ctx, t, l, w)
}

func TestAgentsMeetEveryServerOfSeveralControlPlanes(t *testing.T) {
	ctx := onlyWithVariants(t)
	l := newLab(ctx, t, variant{controlPlanes: 3})
	w := l.wall()
	withoutTunnel(ctx, t, l, w)
	l.kind = byKonnectivity
	for _, strategy := range []struct {
		counts konnectivity.ServerCount
		limit  time.Duration // of a recovery; an agent that counts leases meets the server that lacks by chance
	}{{konnectivity.PerServer, recoveryLimit}, {konnectivity.Leases, time.Minute}} {
		passed := t.Run(string(strategy.counts), func(t *testing.T) {
			require.NoError(t, w.lower(ctx))
			l.variant.counts = strategy.counts
			withTunnel(ctx, t, l, w)
			for name, direct := range l.eachAPIServer(ctx, t) {
				t.Run("the apiserver of "+name, func(t *testing.T) {
					require.NoError(t, direct.waitAgents(ctx)) // whose metrics are read
					requireAllWork(ctx, t, direct)
					countsExecs(ctx, t, direct, w)
					recoversFromKills(ctx, t, direct, strategy.limit)
				})
			}
			requireNothingDropped(ctx, t, w)
		})
		if !passed {
			return
		}
	}
	require.NoError(t, w.lower(ctx))
	takesAway(ctx, t, l)
}

// recoversFromKills ends what the worker has of the tunnel, and then what the control plane has whose apiserver is asked.
func recoversFromKills(ctx context.Context, t *testing.T, l *lab, limit time.Duration) {
	t.Helper()
	for _, cause := range l.kind.causes(l) {
		if !atOnce(cause) {
			continue
		}
		require.NoError(t, cause.make(ctx))
		took, err := l.recovery(ctx)
		require.NoError(t, err)
		t.Logf("%s: logs and exec work again after %s", cause.name, took.Round(10*time.Millisecond))
		assert.LessOrEqual(t, took, limit, cause.name)
	}
}

// takesAway leaves a cluster in which everything goes directly again.
func takesAway(ctx context.Context, t *testing.T, l *lab) {
	t.Helper()
	l.apply(ctx, t, settings.NoTunnel)
	requireAllWork(ctx, t, l)
	observed := l.observe(ctx, t)
	require.False(t, observed.AnyTunnel(), "nothing of it is left")
}
