package tunnel

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// place is one that connections pass and are counted at.
type place struct {
	called string
	read   func(context.Context) ([]byte, error) // its metrics
	metric string
	labels metrics.Labels
}

// egress is an apiserver, which counts what it begins through a tunnel (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/egressselector/metrics/metrics.go), or an error for a check to be skipped by.
func egress(s *suite.Subject, protocol string) (place, error) {
	servers, err := s.ControlPlanes()
	if err != nil {
		return place{}, err
	}
	if len(servers) > 1 {
		return place{}, suite.Skip("with several apiservers, it isn't known which is asked")
	}
	return place{
		called: "the apiserver",
		read: func(ctx context.Context) ([]byte, error) {
			return s.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		},
		metric: "apiserver_egress_dialer_dial_start_total", labels: metrics.Labels{"protocol": protocol, "transport": "uds"},
	}, nil
}

// execCounted demands that an exec on a node is counted at each of the places.
func execCounted(ctx context.Context, s *suite.Subject, e *suite.Evidence, node suite.Node, places ...place) error {
	before, err := countAll(ctx, places)
	if err != nil {
		return err
	}
	if err := s.Pod(node).Echo(ctx); err != nil {
		return fmt.Errorf("exec on node %s: %w", node.Name, err)
	}
	after, err := countAll(ctx, places)
	if err != nil {
		return err
	}
	var problems []error
	for i, place := range places {
		e.Note("%s: connections through the tunnel before the exec: %d, after it: %d", place.called, before[i], after[i])
		if after[i] <= before[i] {
			problems = append(problems, fmt.Errorf("%s has counted %d connections through the tunnel before the exec and %d after it",
				place.called, before[i], after[i]))
		}
	}
	return errors.Join(problems...)
}

func countAll(ctx context.Context, places []place) ([]int, error) {
	var all []int
	for _, place := range places {
		text, err := place.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking what %s has counted: %w", place.called, err)
		}
		count, err := metrics.Sum(text, place.metric, place.labels)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place.called, err)
		}
		all = append(all, count)
	}
	return all, nil
}
