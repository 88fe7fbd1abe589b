// Package catalogue lists every check of the conformance suite.
package catalogue

import (
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/aftermath"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/inpod"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/kubeletapi"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/kubeletpaths"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/outside"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/proxypaths"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/tunnel"
)

// Checks are those of a run: side by side, but for the destructive ones.
func Checks() []suite.Check {
	return slices.Concat(
		kubeletpaths.Checks(), kubeletapi.Checks(), proxypaths.Checks(), inpod.Checks(), outside.Checks(),
		controlplane.Checks(), tunnel.Checks(),
	)
}

// Afterwards are those that look for damage when all is removed that the run made.
func Afterwards() []suite.Check { return aftermath.Checks() }

// All are Checks and Afterwards.
func All() []suite.Check { return append(Checks(), Afterwards()...) }
