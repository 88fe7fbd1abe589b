package conformance

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
	"sigs.k8s.io/e2e-framework/pkg/types"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// TestConformance does the checks: first what changes nothing, side by side; then what restarts or replaces something, one by one;
// then, with all removed that the run made, what looks for damage.
func TestConformance(t *testing.T) {
	if current == nil {
		t.Skip("no cluster was named: -kind NAME or -kubeconfig FILE does")
	}
	all := catalogue.Checks()
	t.Run("harmless", func(t *testing.T) {
		for _, check := range all {
			if !check.Destructive {
				t.Run(check.ID, func(t *testing.T) {
					t.Parallel()
					current.env.Test(t, current.feature(check))
				})
			}
		}
	})
	t.Run("destructive", func(t *testing.T) {
		for _, check := range all {
			if check.Destructive {
				t.Run(check.ID, func(t *testing.T) { current.env.Test(t, current.feature(check)) })
			}
		}
	})
	t.Run("aftermath", func(t *testing.T) {
		for _, check := range catalogue.Afterwards() {
			t.Run(check.ID, func(t *testing.T) { current.env.Test(t, current.feature(check)) })
		}
	})
}

// feature is a check as the framework knows it: flags of the framework's select by its labels.
func (r *run) feature(check suite.Check) types.Feature {
	feature := features.New(check.Sentence).
		WithLabel("id", check.ID).WithLabel("area", check.Area()).
		WithLabel("destructive", fmt.Sprint(check.Destructive)).WithLabel("slow", fmt.Sprint(check.Slow))
	for _, answered := range check.Answers {
		feature = feature.WithLabel("answers", answered)
	}
	return feature.Assess(check.ID, func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		result := check.IfAllowed(r.options.allowed).Do(ctx, r.subject)
		r.record.add(result)
		switch result.Verdict {
		case suite.Failed:
			t.Fail() // the recorder has said why
		case suite.Skipped:
			t.Skip(result.Reason)
		case suite.Passed:
		}
		return ctx
	}).Feature()
}
