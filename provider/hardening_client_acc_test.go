package provider_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/stretchr/testify/require"
)

// A cluster as kubeadm made it before 1.36 gets an apiserver that is nobody but itself at kubelets.
func TestAccTheApiserversIdentityAtKubeletsIsNarrowedRepairedAndReverted(t *testing.T) {
	inTurn(t)
	name := acctest.RandomWithPrefix("kubecomm-acc-client")
	lab := hardeningLab{t: t, name: name}
	var before string
	config := func(body string) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  profile = \"kubeadm\"\n  apiserver = {\n%s\n  }\n}\n",
			name, body)
	}
	const narrow = `kubelet_client_identity = "kubelet_api_admin"`
	custom := func(role string) string {
		return fmt.Sprintf("kubelet_client_identity = \"custom\"\nkubelet_client_cluster_role = %q", role)
	}
	identity, role := at("apiserver", "kubelet_client_identity"), at("apiserver", "kubelet_client_cluster_role")
	text := knownvalue.StringExact
	is := func(user, role string) []statecheck.StateCheck {
		client := func(key string) []string {
			return []string{"nodes", name + "-control-plane", "kubelet_client_certificate", key}
		}
		return []statecheck.StateCheck{
			holds(at(client("subject")...), text("CN="+user)),
			holds(at(client("issuer")...), text("CN=kubernetes")),
			holds(at(client("cluster_roles")...), knownvalue.ListExact([]knownvalue.Check{text(role)})),
			holds(at("nodes", name+"-worker", "kubelet_client_certificate"), knownvalue.Null()),
		}
	}
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		PreCheck: func() {
			lab.create()
			before = lab.beforeNarrowing()
			require.Equal(t, "CN="+kubeadmUser+",O=kubeadm:cluster-admins", lab.handshake())
			lab.failLater()
			require.Equal(t, before, lab.clientState())
			require.Equal(t, "CN="+kubeadmUser+",O=kubeadm:cluster-admins", lab.handshake())
			lab.goodFor(http.StatusOK)
		},
		CheckDestroy: lab.checkClientState(&before),
		Steps: []resource.TestStep{
			{
				Config:            config(narrow),
				ConfigStateChecks: append(is(kubeadmUser, adminRole), holds(identity, text("kubelet_api_admin"))),
			},
			{
				PreConfig: func() {
					require.Equal(t, "CN="+kubeadmUser, lab.handshake())
					lab.goodFor(http.StatusForbidden)
					require.NotEqual(t, before, lab.clientState())
					lab.on(0, "kubeadm certs renew apiserver-kubelet-client")
				},
				Config: config(narrow),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
				}},
				ConfigStateChecks: is(kubeadmUser, adminRole),
			},
			{
				PreConfig:         func() { lab.issueClient("system:masters") },
				Config:            config(narrow),
				ConfigPlanChecks:  updates(changes(identity, text("cluster_admin"), text("kubelet_api_admin"))),
				ConfigStateChecks: is(kubeadmUser, adminRole),
			},
			{
				PreConfig:         func() { lab.kubectl("delete clusterrolebinding " + kubeadmBinding) },
				Config:            config(narrow),
				ConfigPlanChecks:  updates(changes(identity, text("unbound"), text("kubelet_api_admin"))),
				ConfigStateChecks: is(kubeadmUser, adminRole),
			},
			{
				Config:      config(custom("streams")),
				ExpectError: regexp.MustCompile(`(?s)kubelet_client_cluster_role\s+must\s+name.*has\s+no\s+ClusterRole\s+"streams"`),
			},
			{
				PreConfig:   func() { lab.kubectl("create clusterrole streams --verb get --resource nodes/proxy") },
				Config:      config(custom("streams")),
				ExpectError: regexp.MustCompile(`(?s)ClusterRole\s+"streams".*doesn't\s+allow\s+create\s+on\s+nodes/proxy`),
			},
			{
				PreConfig: func() {
					lab.kubectl("create clusterrole logs-too --verb get,create --resource nodes/proxy,nodes/log")
					lab.kubectl("delete clusterrole streams")
					lab.kubectl("create clusterrole streams --verb get,create --resource nodes/proxy")
				},
				Config: config(custom("logs-too")),
				ConfigStateChecks: append(is(customUser, "logs-too"),
					holds(identity, text("custom")), holds(role, text("logs-too"))),
			},
			{
				Config:            config(custom("streams")),
				ConfigPlanChecks:  updates(changes(role, text("logs-too"), text("streams"))),
				ConfigStateChecks: is(customUser, "streams"),
			},
			{
				PreConfig: func() {
					require.Equal(t, "CN="+customUser, lab.handshake())
					lab.goodFor(http.StatusForbidden)
				},
				Config: config(custom("streams")),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
				}},
			},
		},
	})
}
