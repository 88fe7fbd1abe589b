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
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const hardeningAddress = "kubecomm_hardening.test"

// The cluster is made by somebody else than Terraform. The provider's clock starts so far back that the certificates of
// the first apply are due for renewal once it is set right, while to the apiserver, whose clock is right, they are valid
// all along.
func TestAccHardeningAppliesRenewsRepairsAndReverts(t *testing.T) {
	name := acctest.RandomWithPrefix("kubecomm-acc-hardening")
	config := func(body string) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n%s}\n", name, body)
	}
	clock := &testClock{now: time.Now().Add(-250 * 24 * time.Hour)}
	lab := hardeningLab{t: t, name: name}
	worker := func(keys ...string) tfjsonpath.Path {
		return at(append([]string{"nodes", name + "-worker"}, keys...)...)
	}
	served := func(key string) tfjsonpath.Path { return worker("kubelet_serving_certificate", key) }
	renewed := statecheck.CompareValue(compare.ValuesDiffer())
	ca := statecheck.CompareValue(compare.ValuesSame())
	// Each step needs comparers' checks of its own: they count how often they were asked for.
	hardened := func(more ...statecheck.StateCheck) []statecheck.StateCheck {
		return append(more,
			statecheck.ExpectKnownValue(hardeningAddress, served("verified"), knownvalue.Bool(true)),
			statecheck.ExpectKnownValue(hardeningAddress, served("problem"), knownvalue.Null()),
			statecheck.ExpectKnownValue(hardeningAddress, worker("role"), knownvalue.StringExact("worker")),
			statecheck.ExpectKnownValue(hardeningAddress, worker("verifies_kubelets"), knownvalue.Null()),
			statecheck.ExpectKnownValue(hardeningAddress,
				at("nodes", name+"-control-plane", "verifies_kubelets"), knownvalue.Bool(true)),
			statecheck.ExpectKnownValue(hardeningAddress, at("apiserver", "verify_kubelets"), knownvalue.Null()),
			statecheck.ExpectKnownValue(hardeningAddress,
				at("effective", "apiserver.verify_kubelets"), knownvalue.StringExact("true")),
			renewed.AddStateValue(hardeningAddress, served("sha256")),
			ca.AddStateValue(hardeningAddress, at("kubelet_ca")),
		)
	}
	const floor = "tls_min_version = \"" + newVersion + "\""
	apiserverFloor, kubeletFloor := at("apiserver", "tls_min_version"), at("kubelet", "tls_min_version")
	certificates := func(certificates, more string) string {
		return fmt.Sprintf("  kubelet = {\n    serving_certificates = { %s }\n    %s\n  }\n", certificates, more)
	}
	kubelet := func(validity, more string) string { return certificates(fmt.Sprintf("validity = %q", validity), more) }
	rotated := certificates(`validity = "43200m", rotate_when_changed = "2"`, floor) + "  apiserver = { " + floor + " }\n"
	rotatedCA := statecheck.CompareValue(compare.ValuesDiffer())
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(clock),
		PreCheck:                 lab.create,
		Steps: []resource.TestStep{
			{
				PreConfig: func() {
					lab.stopAPIServer()
					lab.forgetNodeRestriction()
				},
				Config:      config(""),
				ExpectError: regexp.MustCompile(`(?s)Kubernetes API of cluster ` + name + `\s+doesn't answer`),
			},
			{
				PreConfig:         lab.startAPIServer,
				Config:            config(""),
				ConfigStateChecks: hardened(),
			},
			{
				PreConfig: func() {
					lab.restrictsNodes()
					clock.now = time.Now()
				},
				Config:            config(""),
				ConfigPlanChecks:  updates(changes(served("verified"), knownvalue.Bool(true), knownvalue.Bool(true))),
				ConfigStateChecks: hardened(),
			},
			{
				Config: config(kubelet("720h", floor)),
				ConfigStateChecks: hardened(
					holds(at("kubelet", "serving_certificates", "validity"), knownvalue.StringExact("720h")),
					holds(kubeletFloor, knownvalue.StringExact(newVersion)),
					holds(apiserverFloor, knownvalue.Null()),
				),
			},
			{
				ResourceName:                         hardeningAddress,
				ImportState:                          true,
				ImportStateId:                        name,
				ImportStateVerify:                    true,
				ImportStateVerifyIdentifierAttribute: "cluster",
			},
			{
				PreConfig: func() {
					lab.removeFlag()
					lab.lowerKubeletFloor()
				},
				Config: config(kubelet("43200m", floor) + "  apiserver = { " + floor + " }\n"),
				ConfigPlanChecks: updates(
					changes(at("apiserver", "verify_kubelets"), knownvalue.Bool(false), knownvalue.Null()),
					changes(apiserverFloor, knownvalue.Null(), knownvalue.StringExact(newVersion)),
					changes(kubeletFloor, knownvalue.StringExact(oldVersion), knownvalue.StringExact(newVersion)),
				),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(apiserverFloor, knownvalue.StringExact(newVersion)),
					holds(kubeletFloor, knownvalue.StringExact(newVersion)),
					rotatedCA.AddStateValue(hardeningAddress, at("kubelet_ca")),
				},
			},
			{
				Config: config(rotated),
				ConfigPlanChecks: updates(
					changes(at("kubelet", "serving_certificates", "rotate_when_changed"), knownvalue.Null(), knownvalue.StringExact("2")),
				),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(served("verified"), knownvalue.Bool(true)),
					holds(served("issuer"), knownvalue.StringExact("SERIALNUMBER=2,CN=kubelet-serving-ca,OU="+name)),
					rotatedCA.AddStateValue(hardeningAddress, at("kubelet_ca")),
				},
			},
			{
				PreConfig: lab.editKubelet,
				Config:    config(rotated),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionUpdate),
					plancheck.ExpectUnknownValue(hardeningAddress, worker()),
				}},
			},
			{
				Config: config("  apiserver = { verify_kubelets = false }\n"),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(at("apiserver", "verify_kubelets"), knownvalue.Bool(false)),
					holds(served("verified"), knownvalue.Bool(true)),
					holds(apiserverFloor, knownvalue.Null()),
					holds(kubeletFloor, knownvalue.Null()),
				},
			},
			{
				PreConfig: func() {
					lab.hasNoFloor()
					lab.delete()
				},
				RefreshState:       true,
				ExpectNonEmptyPlan: true,
			},
		},
	})
}

func TestAccHardeningRefusesBadInput(t *testing.T) {
	tests := map[string]struct{ body, refusal string }{
		"a cluster that does not exist": {`cluster = "kubecomm-acc-nowhere"`, `There is no kind cluster kubecomm-acc-nowhere`},
		"an empty name":                 {`cluster = ""`, `(?s)cluster.*string length must be at least 1`},
		"a source that does not exist":  {serving(`source = "cluster_ca"`), `(?s)serving_certificates\.source.*"dedicated_ca"`},
		"a validity of what kubelets request": {
			serving(`source = "csr", validity = "8760h"`), `(?s)serving_certificates\.validity.*cluster-signing-duration`,
		},
		"a validity without a unit":      {serving(`validity = "8760"`), `(?s)"8760"\s+is not a duration`},
		"a validity that is too short":   {serving(`validity = "10m"`), `(?s)10m is out\s+of bounds`},
		"a validity that outlives a CA":  {serving(`validity = "100000h"`), `(?s)100000h is\s+out of bounds`},
		"a rotation by an empty text":    {serving(`rotate_when_changed = ""`), `(?s)rotate_when_changed.*between\s+1\s+and\s+64`},
		"a switch that is not a boolean": {setting("apiserver", `verify_kubelets = "maybe"`), `(?s)a bool is required`},
		"a version of TLS that is too old": {
			setting("apiserver", `tls_min_version = "VersionTLS11"`), `(?s)apiserver\.tls_min_version.*"VersionTLS11"\s+is\s+none\s+of`,
		},
		"a cipher suite by OpenSSL's name": {
			setting("kubelet", `tls_cipher_suites = ["ECDHE-RSA-AES128-GCM-SHA256"]`), `(?s)kubelet\.tls_cipher_suites.*no\s+cipher\s+suite`,
		},
		"no cipher suite": {setting("kubelet", `tls_cipher_suites = []`), `the list is\s+empty`},
		"a cipher suite that HTTP/2 can't do with": {
			setting("apiserver", `tls_cipher_suites = ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]`), `lacks\s+what\s+HTTP/2\s+demands`,
		},
		"cipher suites with TLS 1.3": {
			setting("kubelet", "tls_min_version = \"VersionTLS13\"\ntls_cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]"),
			`would\s+be\s+ignored`,
		},
		"a profile that nobody knows": {"cluster = \"a\"\nprofile = \"strict\"", `(?s)profile.*"restricted"`},
		"a value that the profile leaves without effect": {
			"profile = \"restricted\"\n" + setting("apiserver", `tls_cipher_suites = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]`),
			`would\s+be\s+ignored`,
		},
		"a kubelet that lets everyone in":             {setting("kubelet", `anonymous = true`), `(?s)kubelet\.anonymous.*is\s+not\s+allowed`},
		"a port that is no number":                    {setting("kubelet", `read_only_port = "none"`), `(?s)a number is required`},
		"a scheduler out of its probes' reach":        {setting("scheduler", `bind_address = "10.0.0.1"`), `(?s)scheduler\.bind_address.*none\s+of`},
		"a version of TLS that etcd spells otherwise": {setting("etcd", `tls_min_version = "VersionTLS13"`), `(?s)etcd\.tls_min_version.*TLS1\.2`},
		"authorization that stops kubelets":           {setting("apiserver", `authorization_modes = ["RBAC"]`), `(?s)without\s+Node`},
		"a kubelet that lets everyone in on one node": {
			nodeSetting("worker", `anonymous = true`), `(?s)kubelet\.nodes\["worker"\]\.anonymous.*is\s+not\s+allowed`,
		},
		"cipher suites on one node, with TLS 1.3 there": {
			nodeSetting("worker", "tls_min_version = \"VersionTLS13\"\ntls_cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]"),
			`(?s)kubelet\.nodes\["worker"\]\.tls_cipher_suites.*would\s+be\s+ignored`,
		},
		"cipher suites on one node, with TLS 1.3 for all": {
			"profile = \"restricted\"\n" + nodeSetting("worker", `tls_cipher_suites = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]`),
			`(?s)kubelet\.nodes\["worker"\]\.tls_cipher_suites.*would\s+be\s+ignored`,
		},
		"an identity that nobody knows": {
			setting("apiserver", `kubelet_client_identity = "admin"`), `(?s)apiserver\.kubelet_client_identity.*none\s+of\s+kubeadm`,
		},
		"an identity without rights": {
			setting("apiserver", `kubelet_client_identity = "custom"`), `(?s)apiserver\.kubelet_client_identity.*no\s+rights\s+by\s+itself`,
		},
		"rights of no identity": {
			setting("apiserver", `kubelet_client_cluster_role = "streams"`), `(?s)apiserver\.kubelet_client_cluster_role.*no\s+effect`,
		},
		"no restart at all": {setting("kubelet", `max_parallel_restarts = 0`), `(?s)max_parallel_restarts.*at\s+least\s+1`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
				Steps: []resource.TestStep{{
					Config:      "resource \"kubecomm_hardening\" \"test\" {\n" + test.body + "\n}\n",
					ExpectError: regexp.MustCompile(test.refusal),
				}},
			})
		})
	}
}

func setting(group, text string) string { return "cluster = \"a\"\n" + group + " = {\n" + text + "\n}" }

func nodeSetting(node, text string) string {
	return setting("kubelet", fmt.Sprintf("nodes = { %q = {\n%s\n} }", node, text))
}

func serving(text string) string { return setting("kubelet", "serving_certificates = { "+text+" }") }
