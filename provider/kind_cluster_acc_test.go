package provider_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const kindAddress = "kubecomm_kind_cluster.test"

// One cluster goes through all of a cluster's life, because each takes half a minute to create.
func TestAccKindClusterLivesChangesDriftsAndIsImported(t *testing.T) {
	lab := newKindLab(t, "life")
	users := lab.usersKubeconfig()
	first, second := lab.file("first"), lab.file("second")
	full := func(more string) string {
		return lab.config(fmt.Sprintf(`
  nodes = [
    {
      role                   = "control-plane"
      extra_mounts           = [{ host_path = %q, container_path = "/seen", read_only = true }]
      extra_port_mappings    = [{ container_port = 30080, listen_address = "127.0.0.1" }]
      kubeadm_config_patches = ["kind: InitConfiguration\nnodeRegistration: { kubeletExtraArgs: { v: '3' } }"]
    },
    { role = "worker", labels = { "example.com/tier" = "db" } },
  ]
  kubeadm_config_patches = [
    "kind: ClusterConfiguration\napiServer: { extraArgs: { audit-log-maxage: '7' } }",
  ]
  kubeadm_config_patches_json6902 = [{
    kind  = "KubeletConfiguration"
    patch = "[{ op: add, path: /maxPods, value: 50 }]"
  }]
  networking     = { pod_subnet = "10.244.128.0/17", kube_proxy_mode = "nftables" }
  runtime_config = { "api/alpha" = "false" }
  %s`, lab.folder, more))
	}
	// Its reference to the cluster is none, so that both are read whatever becomes of the other.
	hardened := fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  profile = \"kubeadm\"\n}\n", lab.name)
	roles := `nodes = [{ role = "control-plane" }, { role = "worker" }]`
	address := knownvalue.ListPartial(map[int]knownvalue.Check{0: knownvalue.StringRegexp(regexp.MustCompile(`^[\d.]+$`))})
	pem := func(kind string) knownvalue.Check {
		return knownvalue.StringRegexp(regexp.MustCompile(`^-----BEGIN ` + kind + `-----\n`))
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{time.Now()}),
		CheckDestroy:             lab.checkGone,
		Steps: []resource.TestStep{
			{ // Creation.
				Config: full(fmt.Sprintf("kubeconfig_path = %q", first)),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("members"), knownvalue.ListExact([]knownvalue.Check{
						knownvalue.ObjectExact(map[string]knownvalue.Check{
							"name":      knownvalue.StringExact(lab.name + "-control-plane"),
							"role":      knownvalue.StringExact("control-plane"),
							"addresses": address,
						}),
						knownvalue.ObjectExact(map[string]knownvalue.Check{
							"name":      knownvalue.StringExact(lab.name + "-worker"),
							"role":      knownvalue.StringExact("worker"),
							"addresses": address,
						}),
					})),
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("endpoint"),
						knownvalue.StringRegexp(regexp.MustCompile(`^https://127\.0\.0\.1:\d+$`))),
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("cluster_ca_certificate"), pem("CERTIFICATE")),
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("client_certificate"), pem("CERTIFICATE")),
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("client_key"), pem("RSA PRIVATE KEY")),
					statecheck.ExpectSensitiveValue(kindAddress, tfjsonpath.New("client_key")),
					statecheck.ExpectSensitiveValue(kindAddress, tfjsonpath.New("kubeconfig")),
				},
				Check: func(*terraform.State) error {
					assert.Equal(t, "kind-"+lab.name, lab.currentContext(first))
					assert.Contains(t, lab.on("control-plane", "cat /proc/$(pgrep -x kube-apiserver)/cmdline"), "--audit-log-maxage=7")
					assert.Contains(t, lab.on("control-plane", "cat /proc/$(pgrep -x kubelet)/cmdline"), "--v=3")
					assert.Contains(t, lab.on("worker", "cat /var/lib/kubelet/config.yaml"), "maxPods: 50")
					assert.Contains(t, lab.on("control-plane", "ls /seen"), "users-kubeconfig")
					assert.Contains(t, lab.on("control-plane",
						"kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --selector example.com/tier=db"), lab.name+"-worker")
					return nil
				},
			},
			{ // What isn't the cluster itself changes in place.
				Config:           full(fmt.Sprintf("kubeconfig_path = %q\n keep_on_failure = true\n timeouts = { create = \"9m\" }", second)),
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				Check: func(*terraform.State) error {
					assert.Empty(t, lab.currentContext(first))
					assert.Equal(t, "kind-"+lab.name, lab.currentContext(second))
					return nil
				},
			},
			{ // A context that went missing is written again.
				PreConfig:        func() { require.NoError(t, os.Remove(second)) },
				Config:           full(fmt.Sprintf("kubeconfig_path = %q", second)),
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
				Check: func(*terraform.State) error {
					assert.Equal(t, "kind-"+lab.name, lab.currentContext(second))
					return nil
				},
			},
			{Config: full(fmt.Sprintf("kubeconfig_path = %q", second)) + hardened},
			{ // An engine that does not answer is an error; the state stays, as later steps show.
				PreConfig:   func() { t.Setenv("DOCKER_HOST", "unix://"+lab.file("no.sock")) },
				Config:      full(fmt.Sprintf("kubeconfig_path = %q", second)) + hardened,
				PlanOnly:    true,
				ExpectError: inOutput("Container engine does not answer", "Tried to read the kind cluster", "state is unchanged"),
			},
			{
				Config:      full(fmt.Sprintf("kubeconfig_path = %q", second)) + hardened,
				PlanOnly:    true,
				ExpectError: inOutput("The container engine does not answer", "nothing is taken out of the state"),
			},
			{
				PreConfig: func() { require.NoError(t, os.Unsetenv("DOCKER_HOST")) },
				Config:    full(fmt.Sprintf("kubeconfig_path = %q", second)),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionDestroy),
				}},
			},
			{ // A paused node is neither gone nor an error.
				PreConfig: func() { lab.engine("pause", lab.name+"-worker") },
				Config:    full(fmt.Sprintf("kubeconfig_path = %q", second)),
				PlanOnly:  true,
			},
			{ // A name that is taken.
				PreConfig: func() { lab.engine("unpause", lab.name+"-worker") },
				Config: full(fmt.Sprintf("kubeconfig_path = %q", second)) +
					fmt.Sprintf("resource \"kubecomm_kind_cluster\" \"twin\" {\n  name = %q\n}\n", lab.name),
				ExpectError: inOutput("Kind cluster already exists", "terraform import kubecomm_kind_cluster.<label> "+lab.name),
			},
			{ // Terraform forgets the cluster…
				Config: "removed {\n  from = " + kindAddress + "\n  lifecycle {\n    destroy = false\n  }\n}\n",
			},
			{ // … and finds it again, with nothing to change.
				Config:           lab.config(roles) + fmt.Sprintf("import {\n  to = %s\n  id = %q\n}\n", kindAddress, lab.name),
				ConfigPlanChecks: planned(plancheck.ResourceActionNoop),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("node_image"), lab.image()),
					statecheck.ExpectKnownValue(kindAddress, tfjsonpath.New("members"), knownvalue.ListSizeExact(2)),
					statecheck.ExpectSensitiveValue(kindAddress, tfjsonpath.New("client_key")),
				},
			},
			{ // What a cluster doesn't tell is taken from the configuration, once.
				Config:           full(""),
				ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
			},
			{
				Config:             lab.config(roles),
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
				ConfigPlanChecks:   onlyPlanned(plancheck.ResourceActionReplace),
			},
			{ // The command imports as well.
				Config:            full(""),
				ResourceName:      kindAddress,
				ImportState:       true,
				ImportStateId:     lab.name,
				ImportStateVerify: true,
				// What a running cluster does not tell.
				ImportStateVerifyIgnore: []string{
					"nodes", "networking", "runtime_config", "kubeadm_config_patches", "kubeadm_config_patches_json6902",
				},
				ImportStateVerifyIdentifierAttribute: "name",
			},
			{ // A node that is gone replaces the cluster.
				PreConfig:          func() { lab.engine("rm", "--force", "--volumes", lab.name+"-worker") },
				Config:             full(""),
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
				ConfigPlanChecks:   onlyPlanned(plancheck.ResourceActionReplace),
			},
			{ // A cluster that is gone is created.
				PreConfig:          lab.delete,
				Config:             full(""),
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
				ConfigPlanChecks:   onlyPlanned(plancheck.ResourceActionCreate),
			},
		},
	})
	assert.Equal(t, users, lab.read("users-kubeconfig"), "the user's kubeconfig was touched")
}

func TestAccKindClusterThatCannotBeCreatedIsExplainedAndCleanedUp(t *testing.T) {
	lab := newKindLab(t, "fail")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	taken := fmt.Sprintf(`nodes = [{
    role                = "control-plane"
    extra_port_mappings = [{ container_port = 80, host_port = %d, listen_address = "127.0.0.1" }]
  }]
`, listener.Addr().(*net.TCPAddr).Port)
	gone := func() { require.NotContains(t, lab.clusters(), lab.name) }
	opaque := lab.opaqueImage()
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{time.Now()}),
		CheckDestroy:             lab.checkGone,
		Steps: []resource.TestStep{
			{
				Config: lab.config(taken),
				ExpectError: inOutput("Kind cluster could not be created", "at this step: Preparing nodes",
					"The last lines that explain it", "address already in use", "Nothing of it is left"),
			},
			{
				PreConfig: gone,
				Config:    lab.config("timeouts = { create = \"8s\" }"),
				ExpectError: inOutput("Kind cluster could not be created", "it took longer than timeouts.create, 8s",
					"Nothing of it is left"),
			},
			{
				PreConfig: gone,
				Config: fmt.Sprintf("resource \"kubecomm_kind_cluster\" \"test\" {\n name = %q\n node_image = %q\n "+
					"kubeadm_config_patches = [\"apiVersion: kubeadm.k8s.io/v1beta2\\nkind: ClusterConfiguration\"]\n}", lab.name, opaque),
				ExpectError: inOutput("kubeadm_config_patches", "would be dropped in silence", "kind generates"),
			},
			{
				PreConfig:   gone,
				Config:      lab.config("feature_gates = { Nope = true }"),
				ExpectError: inOutput("feature_gates", "refuses to start: unrecognized feature gate: Nope"),
			},
			{
				PreConfig:   gone,
				Config:      lab.config(taken + "keep_on_failure = true"),
				ExpectError: inOutput("Its nodes were kept, because keep_on_failure is set"),
			},
			{ // What was kept is in the state, and goes with it.
				PreConfig: func() { require.Contains(t, lab.clusters(), lab.name) },
				Config:    lab.config(taken + "keep_on_failure = true"),
				Destroy:   true,
			},
		},
	})
	gone()
}

func planned(action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(kindAddress, action)}}
}

// onlyPlanned is planned for steps that apply nothing.
func onlyPlanned(action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectResourceAction(kindAddress, action)},
	}
}

// inOutput expects texts in this order, however Terraform breaks the lines.
func inOutput(texts ...string) *regexp.Regexp {
	for i, text := range texts {
		words := strings.Fields(text)
		for j, word := range words {
			words[j] = regexp.QuoteMeta(word)
		}
		texts[i] = strings.Join(words, `[\s│]+`)
	}
	return regexp.MustCompile(`(?s)` + strings.Join(texts, `.*`))
}
