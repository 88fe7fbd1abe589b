// Package kubeletpaths checks the apiserver's way to kubelets: that every kind of stream arrives where it should on every node, and
// that the apiserver verifies whom it talks to as far as it is declared to.
package kubeletpaths

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

const area = "kubelet-paths/"

// Checks lists what is checked.
func Checks() []suite.Check {
	var all []suite.Check
	for _, path := range workload.Paths() {
		all = append(all, suite.Check{
			ID:       area + strings.ToLower(strings.NewReplacer(" over ", "-", " --", "-").Replace(path.Name)),
			Sentence: fmt.Sprintf("%s reaches a pod on every node, and what comes back is that pod's", path.Name),
			Answers:  []string{"C1", "C2"},
			Try:      onEveryNode(path),
		})
	}
	return append(all, thousandExecs(), verified(), residual(), strangers(), neighbours())
}

func onEveryNode(path workload.Path) suite.Action {
	return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		var group errgroup.Group // each node may say what is wrong with it
		problems := make([]error, len(s.Nodes))
		for i, node := range s.Nodes {
			group.Go(func() error {
				problems[i] = path.Use(ctx, s.Pod(node))
				if problems[i] == nil {
					e.Note("%s to the pod on node %s: what was sent arrived, and its answer came back", path.Name, node.Name)
				}
				return nil
			})
		}
		_ = group.Wait()
		return errors.Join(problems...)
	}
}
