package acceptance

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/gruntwork-io/terratest/modules/terraform"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/example"
)

const (
	clusterAddress   = example.Cluster
	hardeningAddress = example.Hardening

	nodeImageVariable = "KUBECOMM_NODE_IMAGE"
	exampleFolder     = "../../examples/quickstart"
	traceFile         = "trace.log" // everything that the CLI and the provider log
	cleanUpLimit      = 2 * time.Minute
)

// quickstart is a copy of the example with a cluster of its own.
type quickstart struct {
	name    string
	engine  *cluster.Engine
	options *terraform.Options
	newDir  func() string // one that lasts as long as the whole test
	folders []string      // in which the CLI worked
	printed strings.Builder
	keys    []leak.Key // that are or were on the cluster's nodes, or in the configuration
	ownCA   bool       // the CA is the user's own
}

// needCluster skips on a machine on which no cluster was asked for. Whoever sets the variable gets a failure where none
// can be had.
func needCluster(t *testing.T) {
	t.Helper()
	if _, wanted := os.LookupEnv(nodeImageVariable); !wanted {
		t.Skipf("%s is not set; make acceptance sets it, installs the provider and runs this", nodeImageVariable)
	}
}

func newQuickstart(t *testing.T) *quickstart {
	t.Helper()
	q := &quickstart{
		name:   "kubecomm-acc-quickstart-" + strings.ToLower(rand.Text()[:6]),
		engine: cluster.NewEngine(),
		newDir: t.TempDir,
	}
	q.prepare(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
		defer cancel()
		require.NoError(t, q.engine.Delete(ctx, q.name, ""))
	})
	return q
}

// elsewhere is the same example for the same cluster, with a state of its own.
func (q *quickstart) elsewhere(t *testing.T) *quickstart {
	t.Helper()
	other := &quickstart{name: q.name, engine: q.engine, newDir: q.newDir}
	other.prepare(t)
	q.folders = append(q.folders, other.folders...)
	return other
}

func (q *quickstart) prepare(t *testing.T) {
	t.Helper()
	folder := q.newDir()
	require.NoError(t, example.Copy(exampleFolder, folder, q.name, os.Getenv(nodeImageVariable)), nodeImageVariable)
	q.folders = append(q.folders, folder)
	q.options = &terraform.Options{
		TerraformBinary: cli(t),
		TerraformDir:    folder,
		NoColor:         true,
		Lock:            true,
		Logger:          logger.TestingT,
		EnvVars: map[string]string{
			"TF_IN_AUTOMATION":   "1",
			"CHECKPOINT_DISABLE": "1",
			// The provider that make installs, whatever the user's configuration says.
			"TF_CLI_CONFIG_FILE": os.DevNull,
			"TF_LOG":             "TRACE",
			"TF_LOG_PATH":        filepath.Join(folder, traceFile),
		},
	}
}

func (q *quickstart) folder() string { return q.options.TerraformDir }

func cli(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); path != "" {
		return path
	}
	for _, name := range []string{terraform.TerraformDefaultPath, terraform.TofuDefaultPath} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("neither terraform nor tofu is on PATH; make env gets one")
	return ""
}

// quiet is for commands whose output holds credentials, such as a state in JSON.
func quiet(t *testing.T, options *terraform.Options) *terraform.Options {
	t.Helper()
	clone, err := options.Clone()
	require.NoError(t, err)
	clone.Logger = logger.Discard
	return clone
}

func (q *quickstart) apply(ctx context.Context, t *testing.T) string {
	t.Helper()
	return q.output(terraform.ApplyContext(t, ctx, q.options))
}

// output keeps what the CLI printed, for keepsKeysToTheNodes.
func (q *quickstart) output(text string) string {
	q.printed.WriteString(text)
	return text
}

func (q *quickstart) nothingToDo(ctx context.Context, t *testing.T) {
	t.Helper()
	require.Zero(t, terraform.PlanExitCodeContext(t, ctx, q.options), "the plan is not empty")
}

// plannedUpdate plans, demands that the hardening is changed in place and nothing else is, and returns how it is and
// how it will be.
func (q *quickstart) plannedUpdate(ctx context.Context, t *testing.T) (before, after any) {
	t.Helper()
	options := quiet(t, q.options)
	options.PlanFilePath = filepath.Join(t.TempDir(), "plan")
	plan := terraform.InitAndPlanAndShowWithStructContext(t, ctx, options)
	for address, change := range plan.ResourceChangesMap {
		if address != hardeningAddress {
			require.True(t, change.Change.Actions.NoOp(), "%s: %v", address, change.Change.Actions)
		}
	}
	change := plan.ResourceChangesMap[hardeningAddress]
	require.NotNil(t, change)
	require.True(t, change.Change.Actions.Update(), "%v", change.Change.Actions)
	return change.Change.Before, change.Change.After
}

// at goes down into nested objects; what isn't there is nil.
func at(value any, path ...string) any {
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

func (q *quickstart) open(ctx context.Context, t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := q.engine.Open(ctx, q.name)
	require.NoError(t, err)
	return c
}
