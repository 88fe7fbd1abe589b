package provider_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
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
			statecheck.ExpectKnownValue(hardeningAddress,
				at("apiserver", "verify_kubelets"), knownvalue.Bool(true)),
			renewed.AddStateValue(hardeningAddress, served("sha256")),
			ca.AddStateValue(hardeningAddress, at("kubelet_ca")),
		)
	}
	drift := func(at tfjsonpath.Path, to knownvalue.Check) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionUpdate),
			plancheck.ExpectKnownValue(hardeningAddress, at, to),
		}}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(clock),
		PreCheck:                 lab.create,
		Steps: []resource.TestStep{
			{
				PreConfig:   lab.stopAPIServer,
				Config:      config(""),
				ExpectError: regexp.MustCompile(`(?s)Kubernetes API of cluster ` + name + `\s+doesn't answer`),
			},
			{
				PreConfig:         lab.startAPIServer,
				Config:            config(""),
				ConfigStateChecks: hardened(),
			},
			{
				PreConfig:         func() { clock.now = time.Now() },
				Config:            config(""),
				ConfigPlanChecks:  drift(served("verified"), knownvalue.Bool(true)),
				ConfigStateChecks: hardened(),
			},
			{
				Config: config("  kubelet = { serving_certificates = { validity = \"720h\" } }\n"),
				ConfigStateChecks: hardened(statecheck.ExpectKnownValue(hardeningAddress,
					at("kubelet", "serving_certificates", "validity"), knownvalue.StringExact("720h"))),
			},
			{
				ResourceName:                         hardeningAddress,
				ImportState:                          true,
				ImportStateId:                        name,
				ImportStateVerify:                    true,
				ImportStateVerifyIdentifierAttribute: "cluster",
			},
			{
				PreConfig:        lab.removeFlag,
				Config:           config("  kubelet = { serving_certificates = { validity = \"43200m\" } }\n"),
				ConfigPlanChecks: drift(at("apiserver", "verify_kubelets"), knownvalue.Bool(true)),
			},
			{
				Config:           config("  kubelet = { serving_certificates = { validity = \"43200m\" } }\n"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			{
				Config: config("  apiserver = { verify_kubelets = false }\n"),
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue(hardeningAddress,
						at("apiserver", "verify_kubelets"), knownvalue.Bool(false)),
					statecheck.ExpectKnownValue(hardeningAddress, served("verified"), knownvalue.Bool(true)),
				},
			},
			{
				PreConfig:   func() { t.Setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock") },
				Config:      config("  apiserver = { verify_kubelets = false }\n"),
				ExpectError: regexp.MustCompile(`The container engine does not answer`),
			},
			{
				PreConfig: func() {
					require.NoError(t, os.Unsetenv("DOCKER_HOST"))
					lab.delete()
				},
				RefreshState:       true,
				ExpectNonEmptyPlan: true,
			},
		},
	})
}

// at makes a path of its own each time: paths that tfjsonpath derives from the same one share memory.
func at(keys ...string) tfjsonpath.Path {
	path := tfjsonpath.New(keys[0])
	for _, key := range keys[1:] {
		path = path.AtMapKey(key)
	}
	return path
}

func TestAccHardeningRefusesBadInput(t *testing.T) {
	tests := map[string]struct{ body, refusal string }{
		"a cluster that does not exist":  {`cluster = "kubecomm-acc-nowhere"`, `There is no kind cluster kubecomm-acc-nowhere`},
		"an empty name":                  {`cluster = ""`, `(?s)cluster.*string length must be at least 1`},
		"a source that does not exist":   {serving(`source = "cluster_ca"`), `(?s)serving_certificates\.source.*"dedicated_ca"`},
		"a validity without a unit":      {serving(`validity = "8760"`), `(?s)"8760"\s+is not a duration`},
		"a validity that is too short":   {serving(`validity = "10m"`), `(?s)10m is out\s+of bounds`},
		"a validity that outlives a CA":  {serving(`validity = "100000h"`), `(?s)100000h is\s+out of bounds`},
		"a switch that is not a boolean": {`cluster = "a"` + "\n" + `apiserver = { verify_kubelets = "maybe" }`, `(?s)a bool is required`},
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

func serving(setting string) string {
	return "cluster = \"a\"\nkubelet = { serving_certificates = { " + setting + " } }"
}

// hardeningLab is a cluster to be hardened, and ways to break it by hand.
type hardeningLab struct {
	t    *testing.T
	name string
}

func (l hardeningLab) create() {
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Minute)
	defer cancel()
	l.delete()
	l.t.Cleanup(l.delete)
	_, err := cluster.NewEngine().Create(ctx, cluster.Spec{
		Name:      l.name,
		NodeImage: os.Getenv("KUBECOMM_NODE_IMAGE"),
		Nodes:     []cluster.NodeSpec{{Role: cluster.ControlPlane}, {Role: cluster.Worker}},
	}, cluster.CreateOptions{WaitForReady: true})
	if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
		l.t.Log(strings.Join(failure.Evidence, "\n"))
	}
	require.NoError(l.t, err)
}

func (l hardeningLab) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(l.t, cluster.NewEngine().Delete(ctx, l.name, ""))
}

// onControlPlane runs a script there.
func (l hardeningLab) onControlPlane(script string) {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	_, err = opened.ControlPlanes()[0].Run(l.t.Context(), cluster.Command{Args: []string{"sh", "-ec", script}})
	require.NoError(l.t, err)
}

// eventually waits for a condition on what is observed of the cluster.
func (l hardeningLab) eventually(what string, condition func(apply.Observation, error) error) {
	options := wait.Options{Limit: 2 * time.Minute, Every: time.Second}
	require.NoError(l.t, wait.Until(l.t.Context(), what, options, func(ctx context.Context) error {
		opened, err := cluster.NewEngine().Open(ctx, l.name)
		if err != nil {
			return err
		}
		return condition(apply.Observe(ctx, apply.On(opened), time.Now()))
	}))
}

const stopContainer = `id=$(crictl --timeout 30s ps --quiet --name '^kube-apiserver$'); [ -z "$id" ] || crictl --timeout 30s stop --timeout 2 "$id"`

func (l hardeningLab) stopAPIServer() {
	l.onControlPlane("systemctl stop kubelet\n" + stopContainer)
}

func (l hardeningLab) startAPIServer() {
	l.onControlPlane("systemctl start kubelet")
	l.eventually("the apiserver to run again", func(_ apply.Observation, err error) error { return err })
}

// removeFlag edits the manifest as an administrator would, and waits until the apiserver runs without the flag.
func (l hardeningLab) removeFlag() {
	l.onControlPlane(`sed '/--kubelet-certificate-authority=/d' /etc/kubernetes/manifests/kube-apiserver.yaml >/etc/kubernetes/edited
mv /etc/kubernetes/edited /etc/kubernetes/manifests/kube-apiserver.yaml
` + stopContainer)
	l.eventually("the apiserver to run without the flag", func(observed apply.Observation, err error) error {
		if err == nil && observed.Nodes[0].APIServer.KubeletCA() != "" {
			err = errors.New("it has the flag")
		}
		return err
	})
}
