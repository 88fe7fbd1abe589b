package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/tunnel/flow"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/turns"
)

// recoveryLimit is how long logs and exec may take to work again once a cause is gone, without anyone's help.
const recoveryLimit = 10 * time.Second

func TestApiserversReachNodesThroughTheTunnelAlone(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l := newLab(ctx, t, variant{controlPlanes: 1})
	w := l.wall()

	steps := []struct {
		kind kind
		name string
		do   func(context.Context, *testing.T, *lab, wall)
		turn turns.Turn
	}{
		{none, "without a tunnel, everything goes directly, and nothing once that is dropped", withoutTunnel, turns.Always},
		{byKonnectivity, "with a tunnel, everything works although what goes directly is dropped", withTunnel, turns.Always},
		{byKonnectivity, "each exec is counted at the apiserver, the server and an agent", countsExecs, turns.Always},
		{byKonnectivity, "without agents, everything fails by the tunnel's own error", withoutAgents, turns.First},
		{byKonnectivity, "logs and exec work again by themselves soon after what ended them is gone", recovers, turns.First},
		{byKonnectivity, "a certificate of the server's that is missing is replaced, and sessions work again", renewsCertificate, turns.First},

		{bySSH, "where another program has the port of SSH servers, nothing is changed, and another port will do", refusesTakenPort, turns.First},
		{bySSH, "by SSH, everything works although all but one port is dropped", withTunnel, turns.Always},
		{bySSH, "each exec is counted at the apiserver, the proxy and a server", countsExecs, turns.Always},
		{bySSH, "servers and proxies are nobody, may do nothing, and their keys are root's", confined, turns.Always},
		{bySSH, "without the worker's server, everything fails by the tunnel's own error", withoutServer, turns.Second},
		{bySSH, "logs and exec work again by themselves soon after what ended their SSH connection is gone", recovers, turns.Second},
		{bySSH, "a server with another host key is refused, shows, and is mended by an apply", refusesHostKey, turns.First},
		{bySSH, "a proxy with another key is refused, shows, and is mended by an apply", refusesClientKey, turns.First},
		{bySSH, "a server forwards to what is on its node, and does nothing else for nobody else", refusesForwards, turns.First},
		{bySSH, "two hundred sessions and a great stream at once don't mix, and take no more memory than they may", carriesLoad, turns.Second},
		{bySSH, "keys are exchanged while sessions go on, and none fails", exchangesKeys, turns.Second},

		{byKonnectivity, "Konnectivity takes the place of SSH, of which nothing is left", replacesSSH, turns.Always},
		{byKonnectivity, "a webhook for pods that is reached through dead agents keeps nobody from taking the tunnel away", endsDeadlock, turns.Always},
		{none, "nothing of any tunnel is left", leavesNothing, turns.Always},
	}
	for _, step := range steps {
		l.kind = step.kind
		passed := t.Run(step.name, func(t *testing.T) {
			step.turn.Take(t)
			step.do(ctx, t, l, w.around(l.port()))
		})
		if !passed {
			return // what follows builds on it
		}
	}
}

func withoutTunnel(ctx context.Context, t *testing.T, l *lab, w wall) {
	requireAllWork(ctx, t, l)
	_, past := l.flows(ctx, t)
	toKubelet := func(f flow.Flow) bool { return f.Port == 10250 }
	assert.True(t, slices.ContainsFunc(past, toKubelet), "a capture of packets sees what goes directly")
	require.NoError(t, w.raise(ctx))
	defer func() { require.NoError(t, w.lower(context.WithoutCancel(ctx))) }()
	for name, err := range use(ctx, l.ways()) {
		if err == nil {
			t.Errorf("%s worked", name)
		}
	}
	counted, err := w.counted(ctx)
	require.NoError(t, err)
	t.Logf("dropped: %v", counted)
	assert.Positive(t, counted[toKubelets], "the counter sees what goes directly")
	assert.Positive(t, counted[toPods], "the counter sees what goes directly")
}

func requireAllWork(ctx context.Context, t *testing.T, l *lab) {
	t.Helper()
	require.NoError(t, l.waitAllWork(ctx))
}

func withTunnel(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, w.lower(ctx)) // kubecomm asks kubelets from the control plane how they are
	observed := l.apply(ctx, t, l.kind.mode)
	require.NoError(t, l.kind.whole(l, observed))
	requireNoneDirect(ctx, t, l) // before anything is dropped: what is dropped leaves no packet
	requireTunnelAlone(ctx, t, l, w)
}

// requireNoneDirect expects of a capture that it shows no connection with the worker or its pods but the tunnel's own.
func requireNoneDirect(ctx context.Context, t *testing.T, l *lab) {
	t.Helper()
	into, past := l.flows(ctx, t)
	require.Empty(t, past, "a connection was begun with the worker or its pods directly")
	if l.port() != 0 {
		require.NotEmpty(t, into, "the capture sees what goes into the tunnel")
	}
}

// requireTunnelAlone has everything work with nothing dropped. It leaves the wall raised.
func requireTunnelAlone(ctx context.Context, t *testing.T, l *lab, w wall) {
	t.Helper()
	require.NoError(t, w.raise(ctx))
	requireAllWork(ctx, t, l)
	requireNothingDropped(ctx, t, w)
	if l.port() == 0 {
		return
	}
	if counted, err := w.counted(ctx); assert.NoError(t, err) {
		t.Logf("counted: %v", counted)
		assert.Positive(t, counted[toTunnel], "the counter sees what goes through the tunnel")
	}
}

func requireNothingDropped(ctx context.Context, t *testing.T, w wall) {
	t.Helper()
	require.NoError(t, nothingDropped(ctx, w))
}

func nothingDropped(ctx context.Context, w wall) error {
	counted, err := w.counted(ctx)
	if err == nil && counted[toKubelets]+counted[toPods]+counted[toWorkers] > 0 {
		err = fmt.Errorf("connections were begun with kubelets, pods or the worker directly: %v", counted)
	}
	return err
}

func countsExecs(ctx context.Context, t *testing.T, l *lab, _ wall) {
	const times = 3
	exec := l.sessions(l.worker())[1]
	require.Equal(t, "exec over WebSocket", exec.name)
	for range times {
		before, err := l.dials(ctx)
		require.NoError(t, err)
		require.NoError(t, exec.use(ctx))
		after, err := l.dials(ctx)
		require.NoError(t, err)
		t.Logf("dials before %v, after %v", before, after)
		for metric, count := range before {
			assert.Greater(t, after[metric], count, metric)
		}
	}
}

// withoutAgents stops agents the way that ends all of them: there is no node that they may be on.
func withoutAgents(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, l.setAgents(ctx, map[string]string{"kubecomm.io/nowhere": "yes"}))
	err := wait.Until(ctx, "the last agent to end", wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		pods, err := l.agents(ctx)
		if err == nil && len(pods) > 0 {
			err = errors.New(pods[0].Name + " is still there")
		}
		return err
	})
	require.NoError(t, err)
	for name, err := range use(ctx, l.ways()) {
		if err == nil {
			t.Errorf("%s worked", name)
			continue
		}
		t.Logf("without agents: %v", err)
		wanted := "No agent available"
		if name == aggregatedAPI { // the apiserver has found out by itself that nothing leads there
			wanted = "the server is currently unable to handle the request"
		}
		assert.Contains(t, err.Error(), wanted, name)
	}
	requireNothingDropped(ctx, t, w)
	require.NoError(t, l.setAgents(ctx, nil))
	requireAllWork(ctx, t, l)
}

func (l *lab) setAgents(ctx context.Context, selector map[string]string) error {
	for _, name := range []string{"konnectivity-agent", "konnectivity-agent-control-plane"} {
		sets := l.client.AppsV1().DaemonSets(konnectivity.Namespace)
		set, err := sets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		set.Spec.Template.Spec.NodeSelector = selector
		if _, err := sets.Update(ctx, set, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func recovers(ctx context.Context, t *testing.T, l *lab, w wall) {
	for _, cause := range l.kind.causes(l) {
		t.Run(cause.name, func(t *testing.T) {
			require.NoError(t, cause.make(ctx))
			took, err := l.recovery(ctx)
			require.NoError(t, err)
			t.Logf("%s: logs and exec work again after %s", cause.name, took.Round(10*time.Millisecond))
			assert.LessOrEqual(t, took, recoveryLimit)
			requireTunnelAlone(ctx, t, l, w) // with a node that restarts, the wall goes by itself
		})
	}
}

// recovery is how long it takes until logs and exec work on every node.
func (l *lab) recovery(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	err := wait.Until(ctx, "logs and exec to work again", wait.Options{Limit: 2 * time.Minute, Every: 100 * time.Millisecond},
		func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, recoveryLimit)
			defer cancel()
			var problems error
			for _, node := range l.cluster.Nodes() {
				for _, err := range use(ctx, l.sessions(node)) {
					problems = errors.Join(problems, err)
				}
			}
			return problems
		})
	return time.Since(begun), err
}

func renewsCertificate(ctx context.Context, t *testing.T, l *lab, w wall) {
	before, err := l.controlPlane().ReadFile(ctx, konnectivity.CACert)
	require.NoError(t, err)
	require.NoError(t, w.lower(ctx)) // kubecomm asks kubelets from the control plane how they are
	require.NoError(t, l.controlPlane().Remove(ctx, konnectivity.ServingCert))
	l.apply(ctx, t, settings.Konnectivity)
	require.NoError(t, w.raise(ctx))
	took, err := l.recovery(ctx)
	require.NoError(t, err)
	t.Logf("certificate renewed: logs and exec work again after %s", took.Round(10*time.Millisecond))
	assert.LessOrEqual(t, took, recoveryLimit)
	after, err := l.controlPlane().ReadFile(ctx, konnectivity.CACert)
	require.NoError(t, err)
	require.Equal(t, string(before.Data), string(after.Data), "agents need not be told of another CA")
}

// endsDeadlock has a webhook decide about every pod that only the tunnel leads to, and then ends the agents: none can be made
// again, because the webhook can't be asked.
func endsDeadlock(ctx context.Context, t *testing.T, l *lab, w wall) {
	hooks := l.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	hook, err := hooks.Get(ctx, backendName, metav1.GetOptions{})
	require.NoError(t, err)
	hook.ObjectMeta = metav1.ObjectMeta{Name: backendName + "-pods"}
	hook.Webhooks[0].ObjectSelector = nil
	hook.Webhooks[0].Rules[0].Rule = admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}
	hook.Webhooks[0].TimeoutSeconds = new(int32(3))
	_, err = hooks.Create(ctx, hook, metav1.CreateOptions{})
	require.NoError(t, err)
	now := int64(0)
	require.NoError(t, l.client.CoreV1().Pods(konnectivity.Namespace).DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: "k8s-app=konnectivity-agent"}))
	err = wait.Until(ctx, "agents not to be made again", wait.Options{Limit: time.Minute, Every: time.Second}, func(ctx context.Context) error {
		events, err := l.client.CoreV1().Events(konnectivity.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, "No agent available") {
				t.Logf("the deadlock: %s", event.Message)
				return nil
			}
		}
		return errors.New("no pod was refused yet")
	})
	require.NoError(t, err)
	require.NoError(t, w.lower(ctx))
	l.apply(ctx, t, settings.NoTunnel)
	requireAllWork(ctx, t, l) // the webhook is asked again, and denies every pod
	require.NoError(t, hooks.Delete(ctx, backendName+"-pods", metav1.DeleteOptions{}))
}
