package tunnel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// startUser uses logs and exec on every node again and again, until it is stopped.
func (l *lab) startUser(ctx context.Context, t *testing.T) *steady.Client {
	t.Helper()
	user, err := steady.Start(ctx, steady.Options{Pace: 100 * time.Millisecond, Do: func(ctx context.Context) error {
		var problems error
		for _, node := range l.cluster.Nodes() {
			for _, session := range l.sessions(node) {
				problems = errors.Join(problems, session.use(ctx))
			}
		}
		return problems
	}})
	require.NoError(t, err)
	return user
}

// exchangesKeys has others asked for, and none of those used that there were.
func exchangesKeys(ctx context.Context, t *testing.T, l *lab, w wall) {
	require.NoError(t, w.lower(ctx))
	before := l.observe(ctx, t)
	talks := map[string]*talk{}
	for _, node := range l.cluster.Nodes() {
		talks[node.Name()] = beginTalk(ctx, l.podOn(node))
		defer talks[node.Name()].drop()
		require.NoError(t, talks[node.Name()].say([]byte("before\n")))
	}
	user := l.startUser(ctx, t)
	defer user.Stop()

	l.ssh.KeyGeneration = "2 of the tests"
	after := l.apply(ctx, t, settings.SSH)
	require.NoError(t, l.kind.whole(l, after))
	report := user.Stop()
	t.Logf("while keys were exchanged, who used logs and exec saw: %s", report)
	assert.Empty(t, report.Failures, "a session failed")
	assert.Positive(t, report.Requests)
	for node, talk := range talks {
		require.NoError(t, talk.say([]byte("after\n")), "a session on node %s that was open", node)
		require.NoError(t, talk.end(), "a session on node %s that was open", node)
	}
	for i, node := range after.Nodes {
		requireExchanged(t, l, before.Nodes[i].SSH.Server.Key, node.SSH.Server.Key, node.SSH.Server.Next)
		if node.APIServer == nil {
			continue
		}
		requireExchanged(t, l, before.Nodes[i].SSH.Proxy.Key, node.SSH.Proxy.Key, node.SSH.Proxy.Next)
		for _, each := range after.Nodes {
			require.Equal(t, []string{node.SSH.Proxy.Key.Fingerprint()}, each.SSH.Server.Status.Authorized[node.Name],
				"the server of node %s knows nothing but the new key", each.Name)
		}
	}
	requireTunnelAlone(ctx, t, l, w)
	showsFailures(ctx, t, l, w)
}

func requireExchanged(t *testing.T, l *lab, before, after, next apply.SSHKey) {
	t.Helper()
	require.NotEmpty(t, after.Fingerprint())
	require.NotEqual(t, before.Fingerprint(), after.Fingerprint())
	require.Equal(t, l.ssh.KeyGeneration, after.Generation)
	require.Empty(t, next.Mode, "none waits any more")
}

// showsFailures has the same user see what there would have been to see.
func showsFailures(ctx context.Context, t *testing.T, l *lab, w wall) {
	user := l.startUser(ctx, t)
	defer user.Stop()
	defer func() { assert.NoError(t, l.startServer(context.WithoutCancel(ctx))) }()
	require.NoError(t, l.stopServer(ctx))
	err := wait.Until(ctx, "who uses logs and exec to see that the server is stopped", wait.Options{Limit: time.Minute},
		func(context.Context) error {
			answers := user.Answers()
			if !slices.ContainsFunc(answers, func(answer steady.Answer) bool {
				return strings.Contains(answer.Error, "connecting to node "+l.worker().Name())
			}) {
				return errors.New("it has seen no failure yet")
			}
			return nil
		})
	require.NoError(t, err)
	require.NoError(t, l.startServer(ctx))
	user.Stop()
	_, err = l.recovery(ctx)
	require.NoError(t, err)
	requireTunnelAlone(ctx, t, l, w)
}
