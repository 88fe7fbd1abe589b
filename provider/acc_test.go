package provider_test

import (
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/kubecomm/terraform-provider-kubecomm/provider"
)

// testClock is a clock that a test sets.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

// factories serve the provider in the test's process.
func factories(clock provider.Clock) map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){
		"kubecomm": providerserver.NewProtocol6WithError(provider.NewWithClock("test", clock)()),
	}
}
