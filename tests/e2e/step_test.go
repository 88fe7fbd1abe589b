package e2e

import (
	"context"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

// step makes a step of a feature that leaves the context as it is.
func step(do func(ctx context.Context, t *testing.T, s *suite)) features.Func {
	return func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		t.Helper()
		do(ctx, t, suiteOf(ctx))
		return ctx
	}
}
