package inpod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func files(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	namespace, err := made.read(ctx, s, mounted+"/namespace")
	if err != nil {
		return err
	}
	e.Note("%s/namespace: %s", mounted, namespace)
	if namespace != s.Namespace {
		return fmt.Errorf("the pod of namespace %s is told that it is %q", s.Namespace, namespace)
	}
	found, err := made.claims(ctx, s, mounted+"/token")
	if err != nil {
		return err
	}
	e.Note("%s/token: %s", mounted, found)
	if err := found.belongTo(s.Namespace, appName, made.app.Name, string(made.app.UID)); err != nil {
		return err
	}
	bundle, err := made.read(ctx, s, mounted+"/ca.crt")
	if err != nil {
		return err
	}
	roots, err := cert.ParseCertsPEM([]byte(bundle))
	if err != nil {
		return fmt.Errorf("the mounted ca.crt: %w", err)
	}
	e.Note("%s/ca.crt: %d certificates, the first is the %s", mounted, len(roots), probe.Describe(roots[0]))
	// Asked in the pod: before an apiserver may be others, which clients from outside verify by other roots.
	return made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+byAddress)
}

func (b *bed) claims(ctx context.Context, s *suite.Subject, path string) (claims, error) {
	token, err := b.read(ctx, s, path)
	if err != nil {
		return claims{}, err
	}
	found, err := parseClaims(token)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return found, err
}

const (
	// askedLength is what pods ask for where they ask for nothing (Kubernetes v1.37.1, pkg/serviceaccount/claims.go).
	askedLength = 3607 * time.Second
	// extendedLength is what they get in its place where tokens are extended.
	extendedLength = 365 * 24 * time.Hour
)

func mountedExpiry(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	found, err := made.claims(ctx, s, mounted+"/token")
	if err != nil {
		return err
	}
	length := found.length()
	const setting = "apiserver.service_account_extend_token_expiration"
	limit := extendedLength
	if s.Expect.Is(setting, "false") {
		limit = askedLength
	}
	const hour = time.Hour // what a limit to what tokens may be asked for leaves at least
	if length < hour || length > limit {
		return fmt.Errorf("the mounted token is good for %s, which isn't between %s and %s", length, hour, limit)
	}
	note := e.Note
	if length > askedLength {
		note = e.Unsafe
	}
	note("the mounted token's %s", found)
	return nil
}

func shortToken(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	found, err := made.claims(ctx, s, shortDir+"/token")
	if err != nil {
		return err
	}
	e.Note("%s/token: %s", shortDir, found)
	if wanted := shortSeconds * time.Second; found.length() != wanted {
		return fmt.Errorf("the token is good for %s, not %s", found.length(), wanted)
	}
	if found.Kubernetes.WarnAfter != 0 {
		return errors.New("the token is one that was extended: there is a time after which its use is warned of")
	}
	if !slices.Equal(found.Audience, []string{otherAudience}) {
		return fmt.Errorf("the token is for %q, not %s", found.Audience, otherAudience)
	}
	return found.belongTo(s.Namespace, appName, made.app.Name, string(made.app.UID))
}
