// Package aftermath checks, after everything else, that nothing was left behind and nothing was harmed.
package aftermath

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const area = "aftermath/"

// Checks lists what is checked. They come last, after the run has removed what it made.
func Checks() []suite.Check {
	return []suite.Check{
		{
			ID: area + "nothing-left", Sentence: "nothing that the run made is left in the cluster", Try: nothingLeft,
			Answers: []string{"N1"},
		},
		{
			ID: area + "nothing-restarted", Sentence: "the cluster's own containers are those that ran before", Try: nothingRestarted,
			Answers: []string{"N1"},
		},
		{
			ID: area + "no-new-errors", Sentence: "the control plane logged no errors but those that the run's own probes bring about",
			Try: noNewErrors, Answers: []string{"N1", "C1"},
		},
	}
}

func nothingLeft(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	if err := s.Close(ctx); err != nil {
		return err
	}
	left, err := s.Left(ctx)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("there still are %s", strings.Join(left, ", "))
	}
	if err == nil {
		e.Note("no object with the run's label is left")
	}
	return err
}

func nothingRestarted(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	changed, err := s.Restarted(ctx)
	if err == nil && len(changed) > 0 {
		err = errors.New(strings.Join(changed, ", "))
	}
	if err == nil {
		e.Note("every container of kube-system has the identity that it had when the run began")
	}
	return err
}

// failure is a line of klog's whose level is error or fatal (klog v2, E and F before month and day).
var failure = regexp.MustCompile(`^[EF]\d{4} `)

// expected are errors that the run's own probes bring about, or that an idle cluster logs too. Each says which.
var expected = []string{
	"imposter",                           // the apiserver's log of the kubelet that it refused
	"failed to verify certificate",       // the same, and rogue certificates
	"TLS handshake error",                // clients that offer too old a version, or no certificate
	"Unable to authenticate the request", // wrong and expired tokens
	"authentication.go",                  // the same
	"upgradeaware.go",                    // a client that ended a stream before the server did
	"conn.go", "websocket",               // the same
	"handler_proxy.go",          // a service without endpoints
	"error dialing backend",     // a pod that ended while it was asked
	"kubecomm-conformance-",     // the run's own objects, deleted while controllers look at them
	"timeout.go", "finisher.go", // a client that no longer waits for its answer (staging/src/k8s.io/apiserver v0.37.1)
	"wrap.go", "writers.go", // the same
	"http: Handler timeout",         // the same
	"context canceled",              // the same
	"context deadline exceeded",     // the same, on a machine with too much to do
	"leaderelection.go",             // an apiserver with too much to do: who loses its lease by that restarts
	"reflector.go",                  // a watch that ended: it is made again
	"Operation cannot be fulfilled", // two controllers that write one object: they try again
	"is not as new as written",      // a controller that reads before it is told of what it wrote: it tries again
}

func noNewErrors(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	var found []string
	for _, node := range nodes {
		for _, component := range []settings.Component{settings.APIServer, settings.ControllerManager, settings.Scheduler} {
			text, err := s.Log(ctx, node, component)
			if err != nil {
				return fmt.Errorf("reading the log of %s on node %s: %w", component, node.Name, err)
			}
			for _, line := range unexpected(text) {
				found = append(found, fmt.Sprintf("%s on node %s: %s", component, node.Name, line))
			}
		}
	}
	if len(found) > 0 {
		for _, line := range found {
			e.Note("%s", line)
		}
		return fmt.Errorf("%d lines, the first: %s", len(found), found[0])
	}
	e.Note("no line of level error or fatal since %s", s.Started().UTC().Format("15:04:05"))
	return nil
}

func unexpected(log string) []string {
	var found []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		explained := func(part string) bool { return strings.Contains(line, part) }
		if failure.MatchString(line) && !slices.ContainsFunc(expected, explained) {
			found = append(found, line)
		}
	}
	return found
}
