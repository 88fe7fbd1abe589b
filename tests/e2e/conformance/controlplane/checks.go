// Package controlplane checks what control planes let in: kubelets to what is theirs, strangers nowhere, and everybody by TLS.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "control-plane/"

// limit is for checks that wait for rights to be known.
const limit = 2 * time.Minute

// Checks lists what is checked.
func Checks() []suite.Check {
	all := []suite.Check{
		ownNode(), othersSecrets(), othersNodes(), restrictedLabels(), rotation(), clientCertificates(),
		anonymous(), anonymousElsewhere(), unknownToken(),
	}
	all = append(append(all, joins()...), ways()...)
	for _, c := range components() {
		all = append(all, c.floor(), c.profiling())
		if c.name != settings.APIServer {
			all = append(all, c.strangers(), c.plain(), c.loopback())
		}
	}
	return append(append(all, etcd()), declared()...)
}

// component is one that speaks TLS. Its setting's group is the first part of their names.
type component struct {
	name         settings.Component
	id, group    string
	port         uint16 // kubeadm's, unless --secure-port says another
	profilingCIS string
	bindCIS      string
}

// components are at the ports of Kubernetes v1.37.1 (cmd/kubeadm/app/constants/constants.go).
func components() []component {
	return []component{
		{settings.APIServer, "apiserver", "apiserver", 6443, "CIS 1.2.15", ""},
		{settings.ControllerManager, "controller-manager", "controller_manager", 10257, "CIS 1.3.2", "CIS 1.3.7"},
		{settings.Scheduler, "scheduler", "scheduler", 10259, "CIS 1.4.1", "CIS 1.4.2"},
	}
}

// portOn is where the component listens on a control plane.
func (c component) portOn(ctx context.Context, s *suite.Subject, node suite.Node) (uint16, error) {
	flags, err := s.Flags(ctx, node, c.name)
	if err != nil {
		return 0, err
	}
	text, given := flags.Get("secure-port")
	if !given {
		return c.port, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}

// instance is a component on one control plane.
type instance struct {
	component
	node suite.Node
	port uint16
}

func (i instance) String() string { return fmt.Sprintf("%s of node %s", i.name, i.node.Name) }

func (c component) instances(ctx context.Context, s *suite.Subject) ([]instance, error) {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return nil, err
	}
	var all []instance
	for _, node := range nodes {
		port, err := c.portOn(ctx, s, node)
		if err != nil {
			return nil, err
		}
		all = append(all, instance{c, node, port})
	}
	return all, nil
}

// onEvery does the same with every instance.
func (c component) onEvery(ctx context.Context, s *suite.Subject, do func(instance) error) error {
	all, err := c.instances(ctx, s)
	if err != nil {
		return err
	}
	var problems []error
	for _, i := range all {
		if err := do(i); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

// request asks an instance at its node's loopback address.
func (i instance) request(s *suite.Subject, path, token string) probe.Request {
	return probe.Request{
		URL: fmt.Sprintf("https://127.0.0.1:%d%s", i.port, path), Token: token, Dial: s.OnNode(i.node, i.port),
	}
}

func (c component) floor() suite.Check {
	check := suite.Check{
		ID:       area + c.id + "-tls-floor",
		Sentence: fmt.Sprintf("%s refuses clients that speak no TLS as new as is declared, or at least 1.2", c.name),
		Answers:  []string{"N2"},
	}
	return server.Floor(check, c.group+".tls_min_version", func(ctx context.Context, s *suite.Subject) ([]server.Place, error) {
		all, err := c.instances(ctx, s)
		var found []server.Place
		for _, i := range all {
			found = append(found, server.Place{Called: i.String(), Dial: s.OnNode(i.node, i.port)})
		}
		return found, err
	})
}
