package provider_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/stretchr/testify/require"
)

// wallClock goes on, as that of the cluster does, which signs: a certificate is judged that was signed minutes after the test
// began.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// Kubelets request their serving certificates and renew them without Terraform; who requests what isn't his gets nothing,
// and is told why. Logs and exec never meet a certificate that isn't trusted, to requested certificates and back.
func TestAccKubeletsRequestTheirCertificatesAndAProgramOnTheNodeApproves(t *testing.T) {
	inTurn(t)
	name := acctest.RandomWithPrefix("kubecomm-acc-requests")
	lab := requestsLab{hardeningLab{t: t, name: name}}
	var before string
	var watch *streamsWatch
	config := func(source string, more ...string) string {
		return fmt.Sprintf(
			"resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  kubelet = { serving_certificates = { source = %q } }\n%s}\n",
			name, source, strings.Join(more, ""))
	}
	source := at("kubelet", "serving_certificates", "source")
	approver := func(key ...string) tfjsonpath.Path {
		return at(append([]string{"nodes", name + "-control-plane", "kubelet_serving_approver"}, key...)...)
	}
	served := func(key string) tfjsonpath.Path {
		return at("nodes", name+"-worker", "kubelet_serving_certificate", key)
	}
	yes, text := knownvalue.Bool(true), knownvalue.StringExact
	requested := func() []statecheck.StateCheck {
		return []statecheck.StateCheck{
			holds(source, text("csr")), holds(approver("active"), yes), holds(approver("problem"), knownvalue.Null()),
			holds(at("nodes", name+"-worker", "kubelet_serving_approver"), knownvalue.Null()),
			holds(served("verified"), yes), holds(served("renew_after"), knownvalue.Null()),
			holds(at("nodes", name+"-control-plane", "verifies_kubelets"), yes),
		}
	}
	nothing := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
		plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
	}}
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(wallClock{}),
		PreCheck: func() {
			lab.create()
			before = lab.everything()
			lab.failLater()
			require.Equal(t, before, lab.everything())
			watch = lab.watchStreams()
		},
		CheckDestroy: lab.checkEverything(&before),
		Steps: []resource.TestStep{
			{Config: config("csr"), ConfigStateChecks: requested()},
			{
				PreConfig: func() {
					watch.end()
					lab.streams()
					lab.renews()
					lab.refusesRogues()
				},
				Config: config("csr"), ConfigPlanChecks: nothing, ConfigStateChecks: requested(),
			},
			{
				PreConfig: func() { lab.kubectl("delete role kubecomm:kubelet-serving-approver --namespace kube-system") },
				Config:    config("csr"),
				ConfigPlanChecks: updates(changes(approver("problem"),
					text("it may not do what it is for: there is no Role kubecomm:kubelet-serving-approver"), knownvalue.Null())),
				ConfigStateChecks: requested(),
			},
			{
				PreConfig: func() {
					lab.on(0, "systemctl stop kubecomm-approver")
					lab.stopsRequesting()
				},
				// The approver's token is of the issuer that is accepted no more.
				Config: config("csr", "  apiserver = { service_account_issuers = [\"https://issuer.example\"] }\n"),
				ConfigPlanChecks: updates(
					changes(source, text("dedicated_ca"), text("csr")),
					changes(approver("active"), knownvalue.Bool(false), yes),
					changes(approver("problem"), text("it doesn't work: its unit is inactive"), knownvalue.Null()),
				),
				ConfigStateChecks: requested(),
			},
			{
				PreConfig: func() {
					lab.streams()
					lab.kubectl("delete role kubecomm:kubelet-serving-approver --namespace kube-system")
					watch = lab.watchStreams()
				},
				Config: config("dedicated_ca"),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(source, text("dedicated_ca")), holds(at("nodes", name+"-control-plane", "kubelet_serving_approver"), knownvalue.Null()),
					holds(served("verified"), yes), holds(served("renew_after"), knownvalue.NotNull()),
				},
			},
			{
				PreConfig: func() { require.Empty(t, lab.leftOvers()) },
				Config:    config("csr"), ConfigStateChecks: requested(),
			},
			{
				PreConfig: func() { watch.end() },
				Config:    config("csr"), ConfigPlanChecks: nothing,
			},
		},
	})
}
