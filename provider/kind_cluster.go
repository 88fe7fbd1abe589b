package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

var (
	_ resource.ResourceWithConfigure      = (*kindCluster)(nil)
	_ resource.ResourceWithImportState    = (*kindCluster)(nil)
	_ resource.ResourceWithValidateConfig = (*kindCluster)(nil)
)

const (
	defaultCreateTimeout = 15 * time.Minute
	defaultDeleteTimeout = 5 * time.Minute
)

// kindCluster is a cluster that kind makes on this machine.
type kindCluster struct{ services }

func newKindCluster() resource.Resource { return &kindCluster{} }

func (r *kindCluster) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_kind_cluster"
}

func (r *kindCluster) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	if data, ok := req.ProviderData.(services); ok {
		r.services = data
	}
}

func (r *kindCluster) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan kindClusterModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	timeout, diags := plan.Timeouts.Create(ctx, defaultCreateTimeout)
	resp.Diagnostics.Append(diags...)
	spec, diags := plan.spec(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	creating, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than timeouts.create, %s", timeout))
	defer cancel()
	created, err := r.engine.Create(creating, spec, plan.createOptions(ctx, spec))
	if err != nil {
		resp.Diagnostics.Append(createDiagnostics(spec.Name, err)...)
		var failure *cluster.CreateError
		if errors.As(err, &failure) && failure.Remains {
			// Tainted, so that what remains is deleted by the next apply or destroy.
			plan.settle()
			resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		}
		return
	}
	plan.NodeImage = types.StringValue(spec.NodeImage)
	plan.settle()
	resp.Diagnostics.Append(plan.observe(ctx, created)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
}

func (m kindClusterModel) createOptions(ctx context.Context, spec cluster.Spec) cluster.CreateOptions {
	wait := m.WaitForReady.ValueBool()
	if m.WaitForReady.IsNull() {
		wait = !spec.Networking.DisableDefaultCNI
	}
	return cluster.CreateOptions{
		KubeconfigPath: m.KubeconfigPath.ValueString(),
		WaitForReady:   wait,
		KeepOnFailure:  m.KeepOnFailure.ValueBool(),
		Progress: func(progress cluster.Progress) {
			tflog.Info(ctx, "Creating a kind cluster", map[string]any{
				"cluster": progress.Cluster, "step": progress.Step, "state": string(progress.State),
				"elapsed": progress.Elapsed.String(),
			})
		},
	}
}

func (r *kindCluster) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state kindClusterModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	found, err := r.engine.Open(ctx, state.Name.ValueString())
	if errors.Is(err, cluster.ErrNotFound) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resp.Diagnostics.Append(engineDiagnostic("read", state.Name.ValueString(), err))
		return
	}
	resp.Diagnostics.Append(state.observe(ctx, found)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update changes what isn't the cluster itself: where its kubeconfig goes, and how the next creation or deletion works.
func (r *kindCluster) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state kindClusterModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !plan.KubeconfigPath.Equal(state.KubeconfigPath) {
		if err := r.moveKubeconfig(ctx, plan, state); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root("kubeconfig_path"), "Kubeconfig could not be moved", fmt.Sprintf(
				"Tried to put the context of the kind cluster %q where kubeconfig_path says.\n\n%s", plan.Name.ValueString(), err))
			return
		}
	}
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, adoptingKey, adopted)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
}

// moveKubeconfig writes the new file first, so that a failure leaves a context that works.
func (r *kindCluster) moveKubeconfig(ctx context.Context, plan, state kindClusterModel) error {
	name := plan.Name.ValueString()
	if path := plan.KubeconfigPath.ValueString(); path != "" {
		found, err := r.engine.Open(ctx, name)
		if err != nil {
			return err
		}
		if err := found.WriteKubeconfig(ctx, path); err != nil {
			return err
		}
	}
	if path := state.KubeconfigPath.ValueString(); path != "" {
		return cluster.RemoveKubeconfig(ctx, path, name)
	}
	return nil
}

func (r *kindCluster) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state kindClusterModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	timeout, diags := state.Timeouts.Delete(ctx, defaultDeleteTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than timeouts.delete, %s", timeout))
	defer cancel()
	r.seen.forget(state.Name.ValueString())
	if err := r.engine.Delete(ctx, state.Name.ValueString(), state.KubeconfigPath.ValueString()); err != nil {
		resp.Diagnostics.Append(engineDiagnostic("delete", state.Name.ValueString(), err))
	}
}

// ImportState takes the cluster's name.
func (r *kindCluster) ImportState(
	ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse,
) {
	resource.ImportStatePassthroughID(ctx, path.Root("name"), req, resp)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, adoptingKey, adopting)...)
}
