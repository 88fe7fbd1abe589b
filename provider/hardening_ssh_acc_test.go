package provider_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/stretchr/testify/require"
)

// listenElsewhere has the worker's SSH server listen at another port than what is declared.
func (l tunnelLab) listenElsewhere(from, to int) {
	l.onWorker(fmt.Sprintf(`sed -i 's/:%d$/:%d/' /etc/systemd/system/kubecomm-ssh-server.socket
systemctl daemon-reload
systemctl stop kubecomm-ssh-server.service kubecomm-ssh-server.socket
systemctl start kubecomm-ssh-server.socket kubecomm-ssh-server.service`, from, to))
}

func TestAccAnSSHTunnelIsAppliedRepairedAndTakenAway(t *testing.T) {
	inTurn(t)
	name := acctest.RandomWithPrefix("kubecomm-acc-ssh")
	lab := newTunnelLab(t, name)
	var before string
	config := func(mode, more string) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  tunnel = {\n    mode = %q\n    %s\n  }\n}\n",
			name, mode, more)
	}
	const elsewhere, again = "ssh = { port = 2222 }", "ssh = {\n      port = 2222\n      rotate_keys_when_changed = \"2\"\n    }"
	mode, text := at("tunnel", "mode"), knownvalue.StringExact
	of := func(node string, key ...string) tfjsonpath.Path {
		return at(append([]string{"nodes", name + node, "ssh_tunnel"}, key...)...)
	}
	const first, worker = "-control-plane", "-worker"
	both := knownvalue.ListExact([]knownvalue.Check{text(name + first), text(name + worker)})
	fingerprint := knownvalue.StringRegexp(regexp.MustCompile("^SHA256:"))
	tunnels := func(more ...statecheck.StateCheck) []statecheck.StateCheck {
		return append([]statecheck.StateCheck{
			holds(mode, text("ssh")), holds(of(first, "connected_nodes"), both), holds(of(first, "client_key"), fingerprint),
			holds(of(first, "host_key"), fingerprint), holds(of(worker, "host_key"), fingerprint),
			holds(of(worker, "client_key"), knownvalue.Null()), holds(of(worker, "connected_nodes"), knownvalue.Null()),
			holds(of(first, "problem"), knownvalue.Null()), holds(of(worker, "problem"), knownvalue.Null()),
			holds(at("nodes", name+first, "verifies_kubelets"), knownvalue.Bool(true)),
		}, more...)
	}
	hostKey, clientKey := statecheck.CompareValue(compare.ValuesDiffer()), statecheck.CompareValue(compare.ValuesDiffer())
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		PreCheck: func() {
			lab.create()
			before = lab.everything()
		},
		CheckDestroy: func(*terraform.State) error {
			if now := lab.everything(); now != before {
				return fmt.Errorf("before, there was\n%s\nand now there is\n%s", before, now)
			}
			return nil
		},
		Steps: []resource.TestStep{
			{
				Config:      config("ssh", "ssh = { port = 10250 }"),
				ExpectError: regexp.MustCompile(`(?s)The port of SSH servers is taken.*kubelet already\s+listens.*tunnel\.ssh\.port`),
			},
			{Config: config("ssh", ""), ConfigStateChecks: tunnels()},
			{
				Config: config("ssh", ""),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
				}},
			},
			{
				PreConfig:         func() { lab.onWorker("systemctl stop kubecomm-ssh-server.service kubecomm-ssh-server.socket") },
				Config:            config("ssh", ""),
				ConfigPlanChecks:  updates(changes(mode, text("none"), text("ssh"))),
				ConfigStateChecks: tunnels(),
			},
			{
				PreConfig:         func() { lab.onWorker("chmod 0644 /etc/kubernetes/kubecomm/ssh/server/host.key") },
				Config:            config("ssh", ""),
				ConfigPlanChecks:  updates(finds(of(worker, "problem"), knownvalue.StringRegexp(regexp.MustCompile("permissions 644, not 600")))),
				ConfigStateChecks: tunnels(),
			},
			{
				Config:            config("ssh", elsewhere),
				ConfigStateChecks: tunnels(hostKey.AddStateValue(hardeningAddress, of(worker, "host_key")), clientKey.AddStateValue(hardeningAddress, of(first, "client_key"))),
			},
			{
				PreConfig:         func() { lab.listenElsewhere(2222, 2223) },
				Config:            config("ssh", elsewhere),
				ConfigPlanChecks:  updates(changes(at("tunnel", "ssh", "port"), knownvalue.Int64Exact(2223), knownvalue.Int64Exact(2222))),
				ConfigStateChecks: tunnels(),
			},
			{
				Config:            config("ssh", again),
				ConfigStateChecks: tunnels(hostKey.AddStateValue(hardeningAddress, of(worker, "host_key")), clientKey.AddStateValue(hardeningAddress, of(first, "client_key"))),
			},
			{
				Config: config("none", ""),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(mode, text("none")), holds(of(first), knownvalue.Null()), holds(of(worker), knownvalue.Null()),
				},
			},
			{
				PreConfig: func() { require.NotContains(t, lab.everything(), "kubecomm-ssh") },
				Config:    config("ssh", elsewhere), ConfigStateChecks: tunnels(),
			},
		},
	})
}
