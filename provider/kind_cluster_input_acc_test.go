package provider_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/stretchr/testify/assert"
)

// badInputs are refused at plan time, on their attribute. What there is to refuse is tested in the domain; here is one
// of each kind of attribute.
var badInputs = map[string]struct {
	at     string // where Terraform shows the problem, or what the text says of it inside an attribute
	config string // what makes it bad, on a line of its own
	says   string
}{
	"a name with capitals": {
		at: "name", says: "kind allows lower case letters",
		config: `name = "Dev"`,
	},
	"an empty name": {
		at: "name", says: "string length must be at least 1",
		config: `name = ""`,
	},
	"workers alone": {
		at: "nodes", says: "at least one node whose role is",
		config: `nodes = [{ role = "worker" }]`,
	},
	"no nodes": {
		at: "nodes", says: "at least 1 elements",
		config: "nodes = []",
	},
	"a role of another tool": {
		at: "nodes[1].role", says: `"master" is none of`,
		config: `nodes = [{ role = "control-plane" }, { role = "master" }]`,
	},
	"a label that a kubelet refuses": {
		at: `nodes[0].labels["node-role.kubernetes.io/x"]`, says: "refuses to start with this label",
		config: `nodes = [{ role = "control-plane", labels = { "node-role.kubernetes.io/x" = "" } }]`,
	},
	"a relative mount": {
		at: "nodes[0].extra_mounts[0].host_path", says: "Use abspath()",
		config: `nodes = [{ role = "control-plane", extra_mounts = [{ host_path = "x", container_path = "/x" }] }]`,
	},
	"a port of a node that is none": {
		at: "nodes[0].extra_port_mappings[0].container_port", says: "between 1 and 65535",
		config: `nodes = [{ role = "control-plane", extra_port_mappings = [{ container_port = 0 }] }]`,
	},
	"a port that is taken twice": {
		at: "nodes[0].extra_port_mappings[1].host_port", says: "already taken by nodes[0].extra_port_mappings[0].host_port",
		config: `nodes = [{ role = "control-plane", extra_port_mappings = [{ container_port = 1, host_port = 80 }, { container_port = 2, host_port = 80 }] }]`,
	},
	"a patch for a worker of no effect": {
		at: "nodes[1].kubeadm_config_patches[0]", says: "this node joins",
		config: `nodes = [{ role = "control-plane" }, { role = "worker", kubeadm_config_patches = ["kind: KubeletConfiguration"] }]`,
	},
	"a subnet of another family": {
		at: "networking.pod_subnet", says: "is an IPv6 subnet, but ip_family is",
		config: `networking = { pod_subnet = "fd00::/56" }`,
	},
	"an unknown kube-proxy mode": {
		at: "networking.kube_proxy_mode", says: `"ebpf" is none of`,
		config: `networking = { kube_proxy_mode = "ebpf" }`,
	},
	"a feature gate that is a flag": {
		at: `feature_gates["A=true,B"]`, says: "not the name of a feature gate",
		config: `feature_gates = { "A=true,B" = true }`,
	},
	"an API that is neither on nor off": {
		at: `runtime_config["api/all"]`, says: `"yes" is none of`,
		config: `runtime_config = { "api/all" = "yes" }`,
	},
	"a patch for another version": {
		at: "kubeadm_config_patches[0]", says: "would be dropped in silence: its apiVersion is kubeadm.k8s.io/v1beta3",
		config: `kubeadm_config_patches = ["kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta3"]`,
	},
	"arguments that are dropped": {
		at: "kubeadm_config_patches[0]", says: "is a map, and would be dropped in silence",
		config: `kubeadm_config_patches = ["{kind: ClusterConfiguration, apiVersion: kubeadm.k8s.io/v1beta4, apiServer: {extraArgs: {v: '5'}}}"]`,
	},
	"a JSON patch for no document": {
		at: "kubeadm_config_patches_json6902[0]", says: "its kind is Cluster",
		config: `kubeadm_config_patches_json6902 = [{ kind = "Cluster", patch = "[{op: remove, path: /a}]" }]`,
	},
	"a JSON patch without operations": {
		at: "kubeadm_config_patches_json6902[0].patch", says: "no operations",
		config: `kubeadm_config_patches_json6902 = [{ kind = "ClusterConfiguration", patch = "[]" }]`,
	},
	"containerd's patch in YAML": {
		at: "containerd_config_patches[0]", says: "not valid TOML",
		config: `containerd_config_patches = ["version: 3"]`,
	},
	"a kubeconfig in a shell's words": {
		at: "kubeconfig_path", says: `Use pathexpand("~/.kube/config")`,
		config: `kubeconfig_path = "~/.kube/config"`,
	},
	"a wait for what can't be": {
		at: "wait_for_ready", says: "creation would wait in vain",
		config: "wait_for_ready = true",
	},
	"a time-out that is none": {
		says:   `"soon" must be a string containing`,
		config: `timeouts = { create = "soon" }`,
	},
}

func TestAccKindClusterRefusesBadInputOnItsAttribute(t *testing.T) {
	var config strings.Builder
	expected := map[string]*regexp.Regexp{}
	for title, bad := range badInputs {
		label := strings.NewReplacer(" ", "_", "'", "").Replace(title)
		name, more := "name = \"dev\"\n", ""
		if strings.HasPrefix(bad.config, "name") {
			name = ""
		}
		if strings.HasPrefix(bad.config, "wait") {
			more = "\n  networking = { disable_default_cni = true }"
		}
		fmt.Fprintf(&config, "resource \"kubecomm_kind_cluster\" %q {\n  %s  node_image = \"kindest/node:v1.37.1\"\n  %s%s\n}\n",
			label, name, bad.config, more)
		at := bad.at
		if at != "" && !strings.ContainsAny(at, "[.") {
			at = ": " + at + " = " // in the line of the configuration that Terraform shows
		}
		expected[title] = inOutput(fmt.Sprintf(`in resource "kubecomm_kind_cluster" %q:`, label), at, bad.says)
	}
	refused := ""
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{time.Now()}),
		ErrorCheck: func(err error) error {
			refused = err.Error()
			return nil
		},
		Steps: []resource.TestStep{{Config: config.String(), PlanOnly: true}},
	})
	for title, pattern := range expected {
		assert.Regexp(t, pattern, refused, title)
	}
	assert.Equal(t, len(badInputs), strings.Count(refused, "Error: "), "each input is refused once")
}

func TestAccKindClusterAcceptsWhatIsNotKnownYet(t *testing.T) {
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{time.Now()}),
		Steps: []resource.TestStep{{
			Config: `
resource "terraform_data" "later" {}

locals {
  text   = terraform_data.later.id
  number = length(terraform_data.later.id)
}

resource "kubecomm_kind_cluster" "test" {
  name       = local.text
  node_image = local.text
  nodes = [
    { role = local.text, image = local.text, labels = { a = local.text } },
    { role = "worker", labels = terraform_data.later.output },
    {
      role                            = "worker"
      extra_mounts                    = [{ host_path = local.text, container_path = local.text, propagation = local.text }]
      extra_port_mappings             = [
        { container_port = 1, host_port = 80, protocol = "TCP" },
        { container_port = 2, host_port = 80, protocol = local.text },
        { container_port = local.number, host_port = local.number, listen_address = local.text },
      ]
      kubeadm_config_patches          = [local.text]
      kubeadm_config_patches_json6902 = [{ group = local.text, version = local.text, kind = "x", patch = local.text }]
    },
  ]
  networking = {
    ip_family = local.text, pod_subnet = "fd00::/56", service_subnet = local.text, api_server_port = local.number,
    kube_proxy_mode = local.text, dns_search = [local.text], disable_default_cni = local.number > 1
  }
  feature_gates                      = { AllAlpha = local.number > 1 }
  runtime_config                     = { "api/all" = local.text }
  kubeadm_config_patches             = ["kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta3", local.text]
  kubeadm_config_patches_json6902    = terraform_data.later.output
  containerd_config_patches          = ["version = 3", local.text]
  containerd_config_patches_json6902 = [local.text]
  kubeconfig_path                    = local.text
  wait_for_ready                     = local.number > 1
  keep_on_failure                    = local.number > 1
  timeouts                           = { create = local.text }
}

resource "kubecomm_kind_cluster" "all_nodes_later" {
  name  = "dev"
  nodes = terraform_data.later.output
}
`,
			PlanOnly:           true,
			ExpectNonEmptyPlan: true,
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(kindAddress, plancheck.ResourceActionCreate),
			}},
		}},
	})
}
