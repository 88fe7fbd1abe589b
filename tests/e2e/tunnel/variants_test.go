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

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
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
			w, err := l.wall(ctx)
			require.NoError(t, err)
			withoutTunnel(ctx, t, l, w)
			withTunnel(ctx, t, l, w)
			countsExecs(ctx, t, l, w)
			recoversFromKills(ctx, t, l, recoveryLimit)
			require.NoError(t, w.lower(ctx))
			takesAway(ctx, t, l)
		})
	}
}

func TestAgentsMeetEveryServerOfSeveralControlPlanes(t *testing.T) {
	ctx := onlyWithVariants(t)
	l := newLab(ctx, t, variant{controlPlanes: 3})
	w, err := l.wall(ctx)
	require.NoError(t, err)
	withoutTunnel(ctx, t, l, w)
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

// recoversFromKills ends the worker's agent, and then the server of the apiserver that is asked.
func recoversFromKills(ctx context.Context, t *testing.T, l *lab, limit time.Duration) {
	t.Helper()
	for _, cause := range l.causes() {
		if cause.name != agentKilled && cause.name != serverKilled {
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
	observed, err := apply.Observe(ctx, apply.On(l.cluster), time.Now())
	require.NoError(t, err)
	require.False(t, observed.AnyTunnel(), "nothing of it is left")
}
