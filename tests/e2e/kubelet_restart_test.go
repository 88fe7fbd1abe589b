package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// versionRefused is how a server refuses a client that speaks too old a version of TLS, as crypto/tls words its alert.
const versionRefused = "remote error: tls: protocol version not supported"

func kubeletsRestartWithATLSFloorWhileTheirPodsGoOn() features.Feature {
	want := settings.Defaults()
	want.KubeletFields = map[string]any{"tlsMinVersion": "VersionTLS13"}
	var before, after, files map[string]string
	var oldServer, newServer string
	var pod steady.Report
	return features.New("kubelets restart with a TLS floor while their pods go on").
		Setup(step(func(ctx context.Context, t *testing.T, s *suite) {
			s.harden(ctx, t, settings.Defaults(), time.Now)
			files = s.kubeletFiles(ctx, t)
		})).
		Assess("without the floor, a client that speaks no more than TLS 1.2 is served",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				for _, node := range s.cluster.Nodes() {
					assert.NoError(t, s.helloTLS12(ctx, node), node.Name())
				}
			})).
		Assess("the floor restarts every kubelet, and nothing else",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				for _, step := range s.plan(ctx, t, want, time.Now()) {
					assert.Contains(t, []apply.Kind{apply.ConfigureKubelet, apply.ConfigureJoins}, step.Kind, step)
				}
				before, oldServer = s.processes(ctx, t), s.apiserver(ctx, t)
				client := s.askPod(ctx, t)
				s.harden(ctx, t, want, time.Now)
				pod = client.Stop()
				after, newServer = s.processes(ctx, t), s.apiserver(ctx, t)
				require.Len(t, after, len(before))
				for what, identity := range before {
					if strings.HasPrefix(what, "kubelet on ") {
						assert.NotEqual(t, identity, after[what], what)
						continue
					}
					assert.Equal(t, identity, after[what], what)
				}
				assert.Equal(t, oldServer, newServer, "the apiserver")
			})).
		Assess("the worker's pod answered all the time", step(func(_ context.Context, t *testing.T, _ *suite) {
			t.Log(pod)
			assert.Empty(t, pod.Failures)
			assert.Greater(t, pod.Requests, 100)
		})).
		Assess("a client that speaks no more than TLS 1.2 is refused",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				for _, node := range s.cluster.Nodes() {
					assert.EqualError(t, s.helloTLS12(ctx, node), versionRefused, node.Name())
				}
			})).
		Assess("every path works on every node", step(func(ctx context.Context, t *testing.T, s *suite) {
			for _, node := range s.cluster.Nodes() {
				settled(ctx, t, s, node)
			}
			everyPathWorks(ctx, t, s)
		})).
		Assess("taken out of the declaration, it leaves every kubelet as it was",
			step(func(ctx context.Context, t *testing.T, s *suite) {
				assert.NotEqual(t, files, s.kubeletFiles(ctx, t))
				s.harden(ctx, t, settings.Defaults(), time.Now)
				assert.Equal(t, files, s.kubeletFiles(ctx, t))
				for _, node := range s.cluster.Nodes() {
					require.NoError(t, s.helloTLS12(ctx, node), node.Name())
					settled(ctx, t, s, node)
				}
			})).
		Feature()
}

// kubeletFiles are permissions, owner and content of the kubelets' configurations, by node.
func (s *suite) kubeletFiles(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, node := range s.cluster.Nodes() {
		state, err := run(ctx, node, `stat --format '%a %U %G' -- "$1" && cat -- "$1"`, kubelet.ConfigFile)
		require.NoError(t, err)
		found[node.Name()] = state
	}
	return found
}

// helloTLS12 makes a TLS handshake with the node's kubelet, from the control plane.
func (s *suite) helloTLS12(ctx context.Context, node *cluster.Node) error {
	conn, err := s.controlPlane().Dial(ctx, fmt.Sprintf("%s:%d", imposter.Address(node), kubelet.Port))
	if err != nil {
		return err
	}
	defer conn.Close()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).HandshakeContext(ctx)
}

// askPod asks the worker's pod again and again, on a way on which there is no kubelet.
func (s *suite) askPod(ctx context.Context, t *testing.T) *steady.Client {
	t.Helper()
	config, err := s.cluster.RESTConfig(ctx)
	require.NoError(t, err)
	client, err := steady.Start(ctx, steady.Options{Config: config, Request: steady.Get(s.podOn(t, s.worker()).ProxyPath())})
	require.NoError(t, err)
	return client
}
