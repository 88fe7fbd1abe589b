package kubeletpaths

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

func strangers() suite.Check {
	return rogue(suite.Check{
		ID:       area + "rogue-stranger",
		Sentence: "no stream goes to a node whose kubelet serves a certificate for its own names that a stranger has signed",
		Refusal:  unverified + "certificate signed by unknown authority",
	}, func(_ context.Context, _, node *cluster.Node) (*pki.ServingCertificate, error) {
		return imposter.Stranger(node)
	})
}

func neighbours() suite.Check {
	return rogue(suite.Check{
		ID:       area + "rogue-neighbour",
		Sentence: "no stream goes to a node whose kubelet serves another node's certificate, though the right CA has signed it",
		Refusal:  unverified + "certificate is valid for ",
	}, func(ctx context.Context, controlPlane, _ *cluster.Node) (*pki.ServingCertificate, error) {
		return imposter.Neighbour(ctx, controlPlane, controlPlane)
	})
}

// settledLimit is how long a kubelet that was restarted may take until every path works.
const settledLimit = time.Minute

// rogue makes the kubelet of a worker serve another certificate for a while. It restarts that kubelet twice.
func rogue(
	check suite.Check, certificate func(ctx context.Context, controlPlane, node *cluster.Node) (*pki.ServingCertificate, error),
) suite.Check {
	check.Answers, check.Destructive, check.Limit = []string{"C3", "C4", "CIS 1.2.5"}, true, 4*time.Minute
	check.Control = func(ctx context.Context, s *suite.Subject, _ *suite.Evidence) error {
		node, err := rogueNode(s)
		if err != nil {
			return err
		}
		return s.Pod(node).Settled(ctx, settledLimit)
	}
	check.Try = func(ctx context.Context, s *suite.Subject, e *suite.Evidence) (err error) {
		node, err := rogueNode(s)
		if err != nil {
			return err
		}
		kind, err := s.Kind()
		if err != nil {
			return err
		}
		worker, err := s.Inside(node)
		if err != nil {
			return err
		}
		controlPlane := kind.ControlPlanes()[0]
		bad, err := certificate(ctx, controlPlane, worker)
		if err != nil {
			return err
		}
		putBack, err := imposter.Serve(ctx, controlPlane, worker, bad)
		if err != nil {
			return err
		}
		defer func() {
			back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			defer cancel()
			err = errors.Join(err, putBack(back), s.Pod(node).Settled(back, settledLimit))
		}()
		e.Note("the kubelet of node %s serves a %s", node.Name, probe.Describe(bad.Certificate))
		for _, path := range workload.Paths() {
			failure := path.Use(ctx, s.Pod(node))
			if err := probe.Refused(failure, check.Refusal); err != nil {
				return fmt.Errorf("%s: %w", path.Name, err)
			}
			e.Note("%v", failure)
		}
		return nil
	}
	return check
}

// rogueNode is a worker, of a cluster whose kubelets serve certificates that kubecomm issues.
func rogueNode(s *suite.Subject) (suite.Node, error) {
	if _, err := s.Kind(); err != nil {
		return suite.Node{}, err
	}
	if !s.Expect.VerifiesKubelets() || !s.Expect.Is(settings.NameServingSource, string(settings.DedicatedCA)) {
		return suite.Node{}, suite.Skip("kubelets' certificates aren't expected to be verified, and to be of a CA of their own")
	}
	node := s.LastNode()
	if node.ControlPlane {
		return suite.Node{}, suite.Skip("this restarts the kubelet of a worker, and the cluster has none")
	}
	return node, nil
}
