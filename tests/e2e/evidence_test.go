package e2e

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// evidenceScript prints what most often explains a failure: the apiserver's last words, and the kubelet's.
const evidenceScript = `for id in $(crictl --timeout 30s ps --all --quiet --name '^kube-apiserver$'); do
  echo "kube-apiserver $id:"; crictl --timeout 30s logs --tail 15 "$id" 2>&1
done
echo kubelet:; journalctl --unit kubelet --lines 15 --no-pager --output cat`

// explainFailure is the framework's hook after each feature.
func (s *suite) explainFailure(
	ctx context.Context, _ *envconf.Config, t *testing.T, _ types.Feature,
) (context.Context, error) {
	t.Helper()
	if !t.Failed() || s.explained {
		return ctx, nil
	}
	s.explained = true
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for _, node := range s.cluster.Nodes() {
		output, err := node.Run(limited, cluster.Command{Args: []string{"sh", "-c", evidenceScript}})
		t.Logf("node %s (%v):\n%s", node.Name(), err, output)
	}
	return ctx, nil
}
