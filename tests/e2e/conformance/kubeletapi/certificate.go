package kubeletapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func certificate() suite.Check {
	return suite.Check{
		ID:       area + "serving-certificate",
		Sentence: "kubelets serve certificates that are valid now, and for their nodes' addresses where apiservers verify them",
		Answers:  []string{"C3", "C4", "CIS 4.2.9"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return onEvery(s, func(node suite.Node) error {
				answer, err := probe.Do(ctx, e, request(s, node, "/healthz", ""))
				if err != nil {
					return err
				}
				if answer.Certificate == nil {
					return errors.New("it shows no certificate")
				}
				e.Note("the kubelet of node %s: %s", node.Name, probe.Describe(answer.Certificate))
				if err := pki.CheckTime(answer.Certificate, time.Now()); err != nil {
					return err
				}
				problem := covers(answer.Certificate, node.Addresses)
				if problem != nil && !s.Expect.VerifiesKubelets() {
					e.Unsafe("the kubelet of node %s could not be verified: %v", node.Name, problem)
					return nil
				}
				return problem
			})
		},
	}
}

// covers returns why a certificate isn't for all of the addresses.
func covers(certificate *x509.Certificate, addresses []string) error {
	var problems []error
	for _, address := range addresses {
		if err := certificate.VerifyHostname(address); err != nil {
			problems = append(problems, fmt.Errorf("its certificate is not for %s: %w", address, err))
		}
	}
	return errors.Join(problems...)
}
