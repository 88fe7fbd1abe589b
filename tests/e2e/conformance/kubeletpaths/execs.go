package kubeletpaths

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// execs is how many sessions there are in all, and atOnce how many at any moment.
const (
	execs  = 1000
	atOnce = 8
)

func thousandExecs() suite.Check {
	return suite.Check{
		ID:       area + "thousand-execs",
		Sentence: "of a thousand exec sessions, spread over all nodes, each gets its own answer",
		Answers:  []string{"C2"},
		Limit:    5 * time.Minute,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(atOnce)
			start := time.Now()
			for i := range execs {
				node := s.Nodes[i%len(s.Nodes)]
				group.Go(func() error {
					if err := s.Pod(node).Echo(ctx); err != nil {
						return fmt.Errorf("session %d, on node %s: %w", i+1, node.Name, err)
					}
					return nil
				})
			}
			err := group.Wait()
			if err == nil {
				e.Note("%d sessions in %s, %d at once", execs, time.Since(start).Round(100*time.Millisecond), atOnce)
			}
			return err
		},
	}
}
