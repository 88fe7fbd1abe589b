package tunnel

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// place is one that connections pass and are counted at.
type place struct {
	called string
	read   func(context.Context) ([]byte, error) // its metrics
	metric string                                // with its labels
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
		metric: fmt.Sprintf("apiserver_egress_dialer_dial_start_total{protocol=%q,transport=\"uds\"}", protocol),
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
		e.Note("%s: connections through the tunnel before the exec: %.0f, after it: %.0f", place.called, before[i], after[i])
		if after[i] <= before[i] {
			problems = append(problems, fmt.Errorf("%s has counted %.0f connections through the tunnel before the exec and %.0f after it",
				place.called, before[i], after[i]))
		}
	}
	return errors.Join(problems...)
}

func countAll(ctx context.Context, places []place) ([]float64, error) {
	var all []float64
	for _, place := range places {
		metrics, err := place.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking what %s has counted: %w", place.called, err)
		}
		count, err := counter(metrics, place.metric)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place.called, err)
		}
		all = append(all, count)
	}
	return all, nil
}

// counter reads a metric. It isn't there until there is something to count.
func counter(metrics []byte, name string) (float64, error) {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(metrics)
	if found == nil {
		return 0, nil
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
