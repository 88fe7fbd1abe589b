package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

var (
	_ resource.Resource                   = (*hardening)(nil)
	_ resource.ResourceWithConfigure      = (*hardening)(nil)
	_ resource.ResourceWithModifyPlan     = (*hardening)(nil)
	_ resource.ResourceWithImportState    = (*hardening)(nil)
	_ resource.ResourceWithValidateConfig = (*hardening)(nil)
)

var verifyKubeletsPath = path.Root("apiserver").AtName("verify_kubelets")

const (
	hardeningLimit     = 20 * time.Minute
	hardeningReadLimit = 2 * time.Minute
)

type hardening struct{ services }

func newHardening() resource.Resource { return &hardening{} }

func (r *hardening) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_hardening"
}

func (r *hardening) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	if data, ok := req.ProviderData.(services); ok {
		r.services = data
	}
}

func (r *hardening) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var model hardeningModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit, diags := model.Timeouts.Create(ctx, hardeningLimit)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	resp.Diagnostics.Append(r.apply(ctx, "applying", &model, req.Config)...)
	if resp.Diagnostics.HasError() && !r.begun(ctx, &model) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

// begun reports whether a failed apply left something on the cluster, so that the resource must be in state for a
// destroy to find it, and fills the model with what is there.
func (r *hardening) begun(ctx context.Context, model *hardeningModel) bool {
	// The failure may have been that ctx is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardeningReadLimit)
	defer cancel()
	observed, err := r.observe(ctx, model.Cluster.ValueString())
	return err == nil && observed.Begun() && !model.observe(ctx, observed).HasError()
}

func (r *hardening) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var model hardeningModel
	resp.Diagnostics.Append(req.State.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit, diags := model.Timeouts.Read(ctx, hardeningReadLimit)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	name := model.Cluster.ValueString()
	observed, err := r.observe(ctx, name)
	if errors.Is(err, cluster.ErrNotFound) {
		tflog.Warn(ctx, "the cluster is gone, and its hardening with it", map[string]any{"cluster": name})
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resp.Diagnostics.Append(hardeningFailed("observing", name, err))
		return
	}
	r.seen.keep(name, observed)
	resp.Diagnostics.Append(model.observe(ctx, observed)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

func (r *hardening) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var model hardeningModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit, diags := model.Timeouts.Update(ctx, hardeningLimit)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	resp.Diagnostics.Append(r.apply(ctx, "changing", &model, req.Config)...)
	if resp.Diagnostics.HasError() {
		return // the state stays as it was; the next refresh finds out how far this came
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &model)...)
}

func (r *hardening) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var model hardeningModel
	resp.Diagnostics.Append(req.State.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit, diags := model.Timeouts.Delete(ctx, hardeningLimit)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	name := model.Cluster.ValueString()
	r.seen.forget(name)
	opened, err := r.engine.Open(ctx, name)
	if errors.Is(err, cluster.ErrNotFound) {
		return
	}
	if err == nil {
		options := r.options(ctx)
		options.Settings.KubeletRestarts = int(model.maxParallelRestarts().ValueInt64())
		err = apply.Restore(ctx, apply.On(opened), options)
	}
	if err != nil {
		resp.Diagnostics.Append(hardeningFailed("reverting", name, err))
	}
}

func (r *hardening) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("cluster"), req, resp)
}
