// Package tunnel checks what carries traffic from control planes to nodes.
package tunnel

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "tunnel/"

// egressFlag names the file that says which of an apiserver's connections go through a tunnel (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/options/egress_selector.go).
const egressFlag = "egress-selector-config-file"

// Checks lists what is checked.
func Checks() []suite.Check {
	return append([]suite.Check{{
		ID:       area + "mode",
		Sentence: "apiservers send their traffic to nodes through a tunnel if one is declared, and through none otherwise",
		Answers:  []string{"C5", "T1"},
		Try:      mode,
	}}, slices.Concat(konnectivityChecks(), sshChecks())...)
}

// only does something where a tunnel is declared to be of a kind, and is skipped elsewhere.
func only(tunnel suite.Tunnel, do suite.Action) suite.Action {
	return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		if s.Expect.Tunnel != tunnel {
			return suite.Skip("the tunnel is declared to be %s", s.Expect.Tunnel)
		}
		return do(ctx, s, e)
	}
}

func mode(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		flags, err := s.Flags(ctx, node, settings.APIServer)
		if err != nil {
			return err
		}
		file, given := flags.Get(egressFlag)
		e.Note("the apiserver of node %s: --%s=%s", node.Name, egressFlag, file)
		if wanted := s.Expect.Tunnel != suite.NoTunnel; given != wanted {
			return fmt.Errorf("the apiserver of node %s has --%s=%q, and the tunnel is declared to be %s", node.Name, egressFlag, file,
				s.Expect.Tunnel)
		}
	}
	return nil
}
