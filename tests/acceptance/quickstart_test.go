// Package acceptance does what a user does: it applies the examples with the real command line and the installed
// provider, breaks things by hand, and looks at what is planned.
package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/terraform"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
)

const testLimit = 15 * time.Minute

func TestTheQuickstartHardensAClusterAndKeepsItSo(t *testing.T) {
	needCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	q := newQuickstart(t)

	// Each step stands on the one before.
	for _, step := range []struct {
		name string
		do   func(context.Context, *testing.T, *quickstart)
	}{
		{"an apply leaves a cluster in which every node is verified", appliesOnce},
		{"a second apply has nothing to do", appliesAgain},
		{"the conformance suite passes as a whole", passesTheConformanceSuite},
		{"the conformance suite tells who may do too little what is missing", isRefusedByTheConformanceSuite},
		{"a flag removed by hand is planned on verify_kubelets and put back", repairsTheFlag},
		{"a stranger's certificate on a node is planned on that node's certificate and replaced", repairsTheCertificate},
		{"an import into an empty state has nothing to change", imports},
		{"a CA of the user's own takes the place of kubecomm's, and its key goes to no node", adoptsOwnCA},
		{"what apiservers send to nodes goes by SSH once that is declared", tunnels},
		{"no private key of a CA, a kubelet or a tunnel is in state, plan, log or output", keepsKeysToTheNodes},
		{"destroying the hardening alone brings the stock behaviour back", revertsAlone},
		{"the conformance suite says of the stock cluster that kubelets aren't verified", failsTheConformanceSuite},
		{"destroying the rest leaves no container", destroysAll},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(ctx, t, q) }) {
			t.FailNow()
		}
	}
}

func appliesOnce(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	terraform.InitContext(t, ctx, q.options)
	q.apply(ctx, t)
	var nodes map[string]struct {
		Role     string
		Verified bool
		Verifies *bool
	}
	terraform.OutputStructContext(t, ctx, quiet(t, q.options), "nodes", &nodes)
	require.Len(t, nodes, 2)
	for _, node := range q.open(ctx, t).Nodes() {
		found := nodes[node.Name()]
		assert.Equal(t, string(node.Role()), found.Role)
		assert.True(t, found.Verified, node.Name())
		if node.Role() == cluster.ControlPlane {
			require.NotNil(t, found.Verifies)
			assert.True(t, *found.Verifies)
		}
	}
	q.collectKeys(ctx, t)
}

func appliesAgain(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	assert.Contains(t, q.apply(ctx, t), "0 added, 0 changed, 0 destroyed")
	q.nothingToDo(ctx, t)
}

func repairsTheFlag(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	c := q.open(ctx, t)
	removeFlag(ctx, t, c)

	before, after := q.plannedUpdate(ctx, t)
	server, worker := c.ControlPlanes()[0].Name(), workerOf(c).Name()
	assert.Equal(t, false, at(before, "apiserver", "verify_kubelets"))
	assert.Nil(t, at(after, "apiserver", "verify_kubelets"), "it is left out")
	assert.Equal(t, "true", at(after, "effective", "apiserver.verify_kubelets"), "as the profile says")
	assert.Equal(t, false, at(before, "nodes", server, "verifies_kubelets"))
	assert.Equal(t, true, at(after, "nodes", server, "verifies_kubelets"))
	for _, node := range []string{server, worker} {
		assert.Equal(t, true, at(before, "nodes", node, "kubelet_serving_certificate", "verified"))
		assert.Equal(t, at(before, "nodes", node, "kubelet_serving_certificate"),
			at(after, "nodes", node, "kubelet_serving_certificate"), "the certificates are no part of this")
	}

	output := q.apply(ctx, t)
	assert.Contains(t, output, "1 step will be taken on the running cluster "+q.name)
	assert.Contains(t, output, "Replace the kube-apiserver: ")
	assert.Contains(t, output, "- step 1, node "+server+":")
	q.nothingToDo(ctx, t)
}

func repairsTheCertificate(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	c := q.open(ctx, t)
	server, worker := c.ControlPlanes()[0].Name(), workerOf(c).Name()
	require.NoError(t, readLog(ctx, t, c))
	serveStranger(ctx, t, c)
	require.ErrorContains(t, readLog(ctx, t, c),
		"tls: failed to verify certificate: x509: certificate signed by unknown authority")

	before, after := q.plannedUpdate(ctx, t)
	assert.Equal(t, false, at(before, "nodes", worker, "kubelet_serving_certificate", "verified"))
	assert.Equal(t, "x509: certificate signed by unknown authority",
		at(before, "nodes", worker, "kubelet_serving_certificate", "problem"))
	assert.Equal(t, true, at(after, "nodes", worker, "kubelet_serving_certificate", "verified"))
	assert.Nil(t, at(before, "apiserver", "verify_kubelets"), "the apiserver is as the profile says")
	assert.Equal(t, at(before, "nodes", server), at(after, "nodes", server), "the control plane is no part of this")

	output := q.apply(ctx, t)
	assert.NotContains(t, output, "on the running cluster", "certificates are taken up by running processes")
	require.NoError(t, readLog(ctx, t, c))
	q.nothingToDo(ctx, t)
	q.collectKeys(ctx, t)
}

func imports(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	fresh := q.elsewhere(t)
	terraform.InitContext(t, ctx, fresh.options)
	for _, address := range []string{clusterAddress, hardeningAddress} {
		q.output(terraform.RunTerraformCommandContext(t, ctx, fresh.options, "import", "-input=false", address, q.name))
	}
	fresh.nothingToDo(ctx, t)
}

func revertsAlone(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	c := q.open(ctx, t)
	alone := *q.options
	alone.Targets = []string{hardeningAddress}
	q.output(terraform.DestroyContext(t, ctx, &alone))

	require.NoError(t, readLog(ctx, t, c))
	serveStranger(ctx, t, c)
	require.NoError(t, readLog(ctx, t, c), "a stock cluster believes a stranger")
	for _, node := range c.Nodes() {
		_, err := node.ReadFile(ctx, imposter.CAKeyFile)
		assert.ErrorContains(t, err, "file does not exist")
	}
}

func destroysAll(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	q.output(terraform.DestroyContext(t, ctx, q.options))
	q.noKeyIn(t, q.files(t))
	_, err := q.engine.Open(ctx, q.name)
	require.ErrorIs(t, err, cluster.ErrNotFound)
}
