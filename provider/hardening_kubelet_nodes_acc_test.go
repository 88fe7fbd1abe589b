package provider_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// The cluster is made by the same configuration, so that the first plan can't know its nodes. It is as kubeadm makes it again
// at the end, and then shows what findings there are.
func TestAccANodesKubeletHasItsOwnSettingsAndWhatKubecommDoesNotChangeIsFound(t *testing.T) {
	inTurn(t)
	kind := newKindLab(t, "kubelets")
	name, worker := kind.name, kind.name+"-worker"
	lab := hardeningLab{t: t, name: name}
	made := kind.config(`nodes = [{ role = "control-plane" }, { role = "worker" }]`)
	config := func(kubelet string) string {
		return made + fmt.Sprintf(`
		resource "kubecomm_hardening" "test" {
		  cluster = kubecomm_kind_cluster.test.name
		  profile = "kubeadm"
		  kubelet = {
		    tls_min_version = %q
		    %s
		  }
		}
	`, oldVersion, kubelet)
	}
	nodes := func(node string) string {
		return fmt.Sprintf("nodes = { %q = { tls_min_version = %q, streaming_idle_timeout = \"60m\" } }\n", node, newVersion)
	}
	forAll, own := at("kubelet", "tls_min_version"), func(attribute string) []string {
		return []string{"kubelet", "nodes", worker, attribute}
	}
	noSuchNode := regexp.MustCompile(`(?s)has\s+no\s+node\s+` + name + `-worker2.*` + name + `-control-plane,\s+` + worker)
	var before string
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		CheckDestroy:             kind.checkGone,
		Steps: append([]resource.TestStep{
			{Config: config(nodes(name + "-worker2")), ExpectError: noSuchNode},
			{
				PreConfig: func() {
					lab.isUntouched()
					lab.rejoinWorker() // as later steps do: kubeadm's join leaves other files than kind's
					before = lab.configuration()
				},
				Config: config(nodes(worker)),
				ConfigStateChecks: []statecheck.StateCheck{
					holds(forAll, knownvalue.StringExact(oldVersion)),
					holds(at(own("tls_min_version")...), knownvalue.StringExact(newVersion)),
					holds(at(own("streaming_idle_timeout")...), knownvalue.StringExact("60m")),
					holds(at(own("tls_cipher_suites")...), knownvalue.Null()),
					holds(at("effective", "kubelet.nodes."+worker+".tls_min_version"), knownvalue.StringExact(newVersion)),
				},
			},
			{
				PreConfig: func() {
					lab.kubeletsRunWith("tlsMinVersion", oldVersion, newVersion)
					lab.kubeletsRunWith("streamingConnectionIdleTimeout", "4h0m0s", "1h0m0s")
					lab.lowerKubeletFloor()
				},
				Config: config(nodes(worker)),
				ConfigPlanChecks: updates(
					changes(at(own("tls_min_version")...), knownvalue.StringExact(oldVersion), knownvalue.StringExact(newVersion)),
					changes(forAll, knownvalue.StringExact(oldVersion), knownvalue.StringExact(oldVersion)),
				),
			},
			{
				PreConfig:        func() { lab.kubeletsRunWith("tlsMinVersion", oldVersion, newVersion) },
				Config:           config(nodes(worker)),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			{Config: config(nodes(name + "-worker2")), PlanOnly: true, ExpectError: noSuchNode},
			{
				Config: config(""),
				ConfigPlanChecks: updates(
					changes(at(own("tls_min_version")[:2]...), knownvalue.NotNull(), knownvalue.Null()),
				),
				ConfigStateChecks: []statecheck.StateCheck{holds(at("kubelet", "nodes"), knownvalue.Null())},
			},
			{
				PreConfig: func() {
					lab.kubeletsRunWith("tlsMinVersion", oldVersion, oldVersion)
					lab.kubeletsRunWith("streamingConnectionIdleTimeout", "4h0m0s", "4h0m0s")
					require.NotEqual(t, before, lab.configuration())
				},
				ResourceName:                         hardeningAddress,
				ImportState:                          true,
				ImportStateId:                        name,
				ImportStateVerify:                    true,
				ImportStateVerifyIdentifierAttribute: "cluster",
				// The profile can't be observed, and kubecomm's default one says more than this one does.
				ImportStateVerifyIgnore: []string{
					"profile", "effective", "apiserver.verify_kubelets", "kubelet.serving_certificates",
				},
			},
			{Config: config(nodes(worker))},
			{Config: made, Check: lab.checkConfiguration(&before)},
		}, slices.Concat(lab.restrictedSteps(made, &before), lab.findingSteps(made))...),
	})
}

// restrictedSteps apply the strictest profile as it is. A node joins meanwhile by a token, for which anyone has to be able to
// read who the cluster is.
func (l hardeningLab) restrictedSteps(made string, before *string) []resource.TestStep {
	config := made + "resource \"kubecomm_hardening\" \"test\" {\n  cluster = kubecomm_kind_cluster.test.name\n  profile = \"restricted\"\n}\n"
	effective := func(name, value string) statecheck.StateCheck {
		return holds(at("effective", name), knownvalue.StringExact(value))
	}
	return []resource.TestStep{
		{
			Config: config,
			ConfigStateChecks: []statecheck.StateCheck{
				effective("apiserver.tls_min_version", newVersion), effective("kubelet.tls_min_version", newVersion),
				effective("apiserver.service_account_max_token_expiration", "24h"),
			},
		},
		{
			PreConfig: l.rejoinWorker,
			Config:    config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionUpdate), // it serves a certificate of its own
			}},
		},
		{Config: made, Check: l.checkConfiguration(before)},
	}
}

// isUntouched sees that no apply has begun on the cluster.
func (l hardeningLab) isUntouched() {
	l.eventually("the cluster to be observed", func(observed apply.Observation, err error) error {
		if err == nil && observed.Begun() {
			err = errors.New("an apply has begun")
		}
		return err
	})
	for node := range 2 {
		l.on(node, "test ! -e /etc/kubernetes/kubecomm")
	}
}

// kubeletsRunWith asks the kubelets of the control plane and the worker for a field of their configuration.
func (l hardeningLab) kubeletsRunWith(field, controlPlane, worker string) {
	l.eventually("the kubelets to run with their "+field, func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		for _, node := range observed.Nodes {
			want := map[cluster.Role]string{cluster.ControlPlane: controlPlane, cluster.Worker: worker}[node.Role]
			if found := string(node.Kubelet.Running.Value(field)); found != `"`+want+`"` {
				return fmt.Errorf("node %s has %s, not %q", node.Name, found, want)
			}
		}
		return nil
	})
}
