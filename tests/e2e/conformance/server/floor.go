package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// Place is where a server answers.
type Place struct {
	Called string
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// versionRefused is how Go's servers refuse a client that offers no version which they speak, as crypto/tls words the alert.
const versionRefused = "remote error: tls: protocol version not supported"

// Floor makes a check that servers refuse clients that only speak too old a version of TLS. The setting says which these are.
func Floor(
	check suite.Check, setting string, places func(context.Context, *suite.Subject) ([]Place, error),
) suite.Check {
	// offer greets every server as a client with the configuration, and has the greeting judged.
	offer := func(
		ctx context.Context, s *suite.Subject, e *suite.Evidence, config *tls.Config, called string, judge func(error) error,
	) error {
		all, err := places(ctx, s)
		if err != nil {
			return err
		}
		for _, place := range all {
			version, err := greet(ctx, place, config)
			if err == nil {
				e.Note("%s and a client that offers %s agreed on %s", place.Called, called, tls.VersionName(version))
			} else {
				e.Note("%s and a client that offers %s: %v", place.Called, called, err)
			}
			if err := judge(err); err != nil {
				return fmt.Errorf("%s and a client that offers %s: %w", place.Called, called, err)
			}
		}
		return nil
	}
	check.Refusal = versionRefused
	check.Control = func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		newest := &tls.Config{MinVersion: tls.VersionTLS13}
		return offer(ctx, s, e, newest, "TLS 1.3", func(err error) error { return err })
	}
	check.Try = func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
		highest := refusedFrom(s.Expect, setting)
		// Go's clients offer TLS 1.0 and 1.1 only if they are told to.
		old := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: highest}
		called := "no more than " + tls.VersionName(highest)
		return offer(ctx, s, e, old, called, func(err error) error { return probe.Refused(err, versionRefused) })
	}
	return check
}

// refusedFrom is the newest version that is refused.
func refusedFrom(expect suite.Expectation, setting string) uint16 {
	if expect.Is(setting, "VersionTLS13") {
		return tls.VersionTLS12
	}
	return tls.VersionTLS11 // Kubernetes' servers speak TLS 1.2 and later where nothing else is said
}

// greet shakes hands with a server, whoever that is.
func greet(ctx context.Context, place Place, config *tls.Config) (uint16, error) {
	conn, err := place.Dial(ctx, "tcp", "")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	config = config.Clone()
	config.InsecureSkipVerify = true
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return 0, err
	}
	return client.ConnectionState().Version, nil
}
