// Package provider is the Terraform glue of kubecomm: schemas, models and the calls into the domain packages under
// internal/. It knows nothing of containers, certificates or manifests.
package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// Address is the provider's source address in Terraform configurations.
const Address = "registry.terraform.io/kubecomm/kubecomm"

var _ provider.Provider = (*kubecommProvider)(nil)

// Clock tells the time, so that tests can let certificates age.
type Clock interface {
	Now() time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// services is what every resource is configured with.
type services struct {
	engine *cluster.Engine
	clock  Clock
	seen   *seen
}

type kubecommProvider struct {
	version  string
	services services
}

// New returns a factory of the provider, working with the machine's own container engine and clock.
func New(version string) func() provider.Provider {
	return NewWithClock(version, systemClock{})
}

// NewWithClock is New with another source of time.
func NewWithClock(version string, clock Clock) func() provider.Provider {
	return func() provider.Provider {
		return &kubecommProvider{
			version:  version,
			services: services{engine: cluster.NewEngine(), clock: clock, seen: &seen{}},
		}
	}
}

func (p *kubecommProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "kubecomm"
	resp.Version = p.version
}

func (p *kubecommProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Secures the communication between a Kubernetes control plane and its nodes, " +
			"on [kind](https://kind.sigs.k8s.io) clusters, and proves it. The provider needs no configuration: " +
			"it finds the container engine as kind does (`KIND_EXPERIMENTAL_PROVIDER` chooses one).",
	}
}

func (p *kubecommProvider) Configure(_ context.Context, _ provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	resp.ResourceData = p.services
	resp.DataSourceData = p.services
}

func (p *kubecommProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newKindCluster, newHardening}
}

func (p *kubecommProvider) DataSources(context.Context) []func() datasource.DataSource {
	return nil
}
