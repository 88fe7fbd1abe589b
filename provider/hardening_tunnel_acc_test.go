package provider_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/stretchr/testify/require"
)

// tunnelLab has a cluster that is to have a tunnel.
type tunnelLab struct {
	hardeningLab
	archive       string // with both images
	server, agent string // images
}

func newTunnelLab(t *testing.T, name string) tunnelLab {
	t.Helper()
	return tunnelLab{
		hardeningLab: hardeningLab{t: t, name: name}, archive: filepath.Join(t.TempDir(), "konnectivity.tar"),
		server: os.Getenv("KUBECOMM_KONNECTIVITY_SERVER_IMAGE"), agent: os.Getenv("KUBECOMM_KONNECTIVITY_AGENT_IMAGE"),
	}
}

func (l tunnelLab) saveImages() {
	output, err := exec.CommandContext(l.t.Context(), "docker", "save", "--output", l.archive, l.server, l.agent).CombinedOutput()
	require.NoError(l.t, err, string(output))
}

// changeKeepalive has agents run with another than what is declared.
func (l tunnelLab) changeKeepalive() {
	l.on(0, `kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system get daemonset konnectivity-agent --output json |
  sed 's/--keepalive-time=1m30s/--keepalive-time=45s/' | kubectl --kubeconfig /etc/kubernetes/admin.conf replace --filename -`)
}

// removeServer takes the manifest away, and waits until the kubelet has ended the server.
func (l tunnelLab) removeServer() {
	l.on(0, `rm /etc/kubernetes/manifests/konnectivity-server.yaml
for i in $(seq 120); do
  [ -n "$(crictl --timeout 30s ps --quiet --name '^konnectivity-server$')" ] || exit 0
  sleep 1
done
exit 1`)
}

// everything is what a tunnel leaves traces in.
func (l tunnelLab) everything() string {
	const files = `find /etc /opt -type f ! -path '/etc/kubernetes/manifests/*' -exec sha256sum {} + | sort; ls /etc/kubernetes/manifests`
	const objects = `kubectl --kubeconfig /etc/kubernetes/admin.conf get --all-namespaces --output name \
  serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,configmaps,services,daemonsets,validatingwebhookconfigurations | sort
kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system get --output name leases | grep konnectivity || :`
	return l.output(0, files) + l.output(1, files) + l.output(0, objects) + l.configuration()
}

func TestAccATunnelIsAppliedRepairedAndTakenAway(t *testing.T) {
	inTurn(t)
	name := acctest.RandomWithPrefix("kubecomm-acc-tunnel")
	lab := newTunnelLab(t, name)
	var before string
	config := func(mode, more string) string {
		tunnel := fmt.Sprintf("{ mode = %q }", mode)
		if more != "" {
			tunnel = fmt.Sprintf("{\n    mode = %q\n    konnectivity = {\n      image_archives = [%q]\n      server_image = %q\n"+
				"      agent_image = %q\n      %s\n    }\n  }", mode, lab.archive, lab.server, lab.agent, more)
		}
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  tunnel = %s\n}\n", name, tunnel)
	}
	const keepalive, leases = `keepalive = "90s"`, `server_count_strategy = "leases"`
	mode, text := at("tunnel", "mode"), knownvalue.StringExact
	server := func(key ...string) tfjsonpath.Path {
		return at(append([]string{"nodes", name + "-control-plane", "konnectivity_server"}, key...)...)
	}
	tunnels := func() []statecheck.StateCheck {
		return []statecheck.StateCheck{
			holds(mode, text("konnectivity")), holds(server("ready_agents"), knownvalue.Int64Exact(2)),
			holds(server("agents"), knownvalue.ListExact([]knownvalue.Check{text(name + "-control-plane"), text(name + "-worker")})),
			holds(server("problem"), knownvalue.Null()), holds(server("not_after"), knownvalue.NotNull()),
			holds(at("nodes", name+"-worker", "konnectivity_server"), knownvalue.Null()),
			holds(at("nodes", name+"-control-plane", "verifies_kubelets"), knownvalue.Bool(true)),
		}
	}
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		PreCheck: func() {
			lab.create()
			lab.saveImages()
			before = lab.everything()
		},
		CheckDestroy: func(*terraform.State) error {
			if now := lab.everything(); now != before {
				return fmt.Errorf("before, there was\n%s\nand now there is\n%s", before, now)
			}
			return nil
		},
		Steps: []resource.TestStep{
			{Config: config("konnectivity", keepalive), ConfigStateChecks: tunnels()},
			{
				Config: config("konnectivity", keepalive),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
				}},
			},
			{
				PreConfig:         lab.changeKeepalive,
				Config:            config("konnectivity", keepalive),
				ConfigPlanChecks:  updates(changes(at("tunnel", "konnectivity", "keepalive"), text("45s"), text("90s"))),
				ConfigStateChecks: tunnels(),
			},
			{
				PreConfig: func() {
					lab.kubectl("--namespace kube-system delete daemonset konnectivity-agent")
				},
				Config:            config("konnectivity", keepalive),
				ConfigPlanChecks:  updates(changes(mode, text("none"), text("konnectivity"))),
				ConfigStateChecks: tunnels(),
			},
			{
				PreConfig:         lab.removeServer,
				Config:            config("konnectivity", keepalive),
				ConfigPlanChecks:  updates(changes(mode, text("none"), text("konnectivity"))),
				ConfigStateChecks: tunnels(),
			},
			{
				PreConfig:         func() { lab.editFile("egress-selector", "s/cluster/controlplane/") },
				Config:            config("konnectivity", leases),
				ConfigPlanChecks:  updates(changes(mode, text("none"), text("konnectivity"))),
				ConfigStateChecks: tunnels(),
			},
			{
				Config:            config("none", ""),
				ConfigStateChecks: []statecheck.StateCheck{holds(mode, text("none")), holds(server(), knownvalue.Null())},
			},
			{
				PreConfig: func() { require.NotContains(t, lab.everything(), "konnectivity") },
				Config:    config("konnectivity", keepalive), ConfigStateChecks: tunnels(),
			},
		},
	})
}
