package tunnel

import (
	"context"
	"errors"
	"os/signal"
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
)

// recoveryLimit is how long logs and exec may take to work again once a cause is gone, without anyone's help.
const recoveryLimit = 10 * time.Second

func TestApiserversReachNodesThroughTheTunnelAlone(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l := newLab(ctx, t, variant{controlPlanes: 1})
	w, err := l.wall(ctx)
	require.NoError(t, err)

	steps := []struct {
		name string
		do   func(context.Context, *testing.T, *lab, wall)
	}{
		{"without a tunnel, everything goes directly, and nothing once that is dropped", withoutTunnel},
		{"with a tunnel, everything works although what goes directly is dropped", withTunnel},
		{"each exec is counted at the apiserver, the server and an agent", countsExecs},
		{"without agents, everything fails by the tunnel's own error", withoutAgents},
		{"logs and exec work again by themselves soon after what ended them is gone", recovers},
		{"a certificate of the server's that is missing is replaced, and sessions work again", renewsCertificate},
		{"a webhook for pods that is reached through dead agents keeps nobody from taking the tunnel away", endsDeadlock},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.do(ctx, t, l, w) }) {
			return // what follows builds on it
		}
	}
}

func withoutTunnel(ctx context.Context, t *testing.T, l *lab, w wall) {
	requireAllWork(ctx, t, l)
	assert.NotEmpty(t, kubeletFlows(ctx, t, l), "a capture of packets sees what goes directly")
	require.NoError(t, w.raise(ctx))
	defer func() { require.NoError(t, w.lower(context.WithoutCancel(ctx))) }()
	for name, err := range use(ctx, l.ways()) {
		if err == nil {
			t.Errorf("%s worked", name)
		}
	}
	dropped, err := w.dropped(ctx)
	require.NoError(t, err)
	t.Logf("dropped: %v", dropped)
	assert.Positive(t, dropped[toKubelets], "the counter sees what goes directly")
	assert.Positive(t, dropped[toPods], "the counter sees what goes directly")
}

func requireAllWork(ctx context.Context, t *testing.T, l *lab) {
	t.Helper()
	// An aggregated API counts as away until the apiserver looks again, which it does every 30 s at the latest.
	err := wait.Until(ctx, "every way to work", wait.Options{Limit: 2 * time.Minute, Every: time.Second}, func(ctx context.Context) error {
		var problems error
		for _, err := range use(ctx, l.ways()) {
			problems = errors.Join(problems, err)
		}
		return problems
	})
	require.NoError(t, err)
}

func withTunnel(ctx context.Context, t *testing.T, l *lab, w wall) {
	observed := l.apply(ctx, t, settings.Konnectivity)
	for _, node := range l.cluster.ControlPlanes() {
		require.Len(t, observed.AgentsOf(node.Name()), len(l.cluster.Nodes()), "every node has an agent at every server")
	}
	// Before anything is dropped: what is dropped leaves no packet.
	assert.Empty(t, kubeletFlows(ctx, t, l), "a connection was begun with a kubelet directly")
	require.NoError(t, w.raise(ctx))
	requireAllWork(ctx, t, l)
	requireNothingDropped(ctx, t, w)
}

// kubeletFlows are the connections that control planes begin with the worker's kubelet while apiservers go every way to it, as
// captures of their packets show them.
func kubeletFlows(ctx context.Context, t *testing.T, l *lab) []flow.Flow {
	t.Helper()
	var found []flow.Flow
	for name, direct := range l.eachAPIServer(ctx, t) {
		flows, err := captured(ctx, direct.controlPlane(), func() error {
			var problems error
			for _, err := range use(ctx, direct.ways()) {
				problems = errors.Join(problems, err)
			}
			return problems
		})
		require.NoError(t, err)
		found = append(found, toKubelet(flows, l.worker())...)
		t.Logf("node %s began %d connections with others, %d of them with the worker's kubelet", name, len(flows), len(found))
	}
	return found
}

func requireNothingDropped(ctx context.Context, t *testing.T, w wall) {
	t.Helper()
	dropped, err := w.dropped(ctx)
	require.NoError(t, err)
	t.Logf("dropped: %v", dropped)
	assert.Zero(t, dropped[toKubelets], "a connection was begun with a kubelet directly")
	assert.Zero(t, dropped[toPods], "a connection was begun with a pod directly")
	assert.Zero(t, dropped[toWorkers], "a connection was begun with a worker directly")
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
	for _, cause := range l.causes() {
		t.Run(cause.name, func(t *testing.T) {
			require.NoError(t, cause.make(ctx))
			took, err := l.recovery(ctx)
			require.NoError(t, err)
			t.Logf("%s: logs and exec work again after %s", cause.name, took.Round(10*time.Millisecond))
			assert.LessOrEqual(t, took, recoveryLimit)
			require.NoError(t, w.lower(ctx)) // with a node that restarts, it goes by itself
			require.NoError(t, w.raise(ctx))
			requireAllWork(ctx, t, l)
			requireNothingDropped(ctx, t, w)
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
