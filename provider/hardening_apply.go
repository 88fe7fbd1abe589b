package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// observe opens the cluster by its name and looks at it.
func (r *hardening) observe(ctx context.Context, name string) (apply.Observation, error) {
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return apply.Observation{}, err
	}
	return apply.Observe(ctx, apply.On(opened), r.clock.Now())
}

// lookedAt returns what a refresh has just seen of a cluster, or looks.
func (r *hardening) lookedAt(ctx context.Context, name string) (apply.Observation, error) {
	if observed, kept := r.seen.take(name); kept {
		return observed, nil
	}
	return r.observe(ctx, name)
}

// apply brings the cluster to what the model declares and fills the model with what is there then.
func (r *hardening) apply(ctx context.Context, doing string, model *hardeningModel, config tfsdk.Config) diag.Diagnostics {
	want, _, diags := model.declared(ctx)
	if diags.HasError() {
		return diags
	}
	name := model.Cluster.ValueString()
	effective, _ := model.effectiveValues()
	overrides, _ := model.overrides()
	diags.Append(r.checkNodes(ctx, name, overrides)...) // of a cluster that was not there when this was planned
	diags.Append(r.checkVersion(ctx, name, effective, overrides)...)
	diags.Append(r.own(ctx, name, config, &want)...)
	if diags.HasError() {
		return diags
	}
	r.seen.forget(name)
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return append(diags, hardeningFailed(doing, name, err))
	}
	options := r.options(ctx)
	options.Settings = want
	observed, err := apply.Apply(ctx, apply.On(opened), options)
	if err != nil {
		return append(diags, hardeningFailed(doing, name, err))
	}
	return append(diags, model.observe(ctx, observed)...)
}

func (r *hardening) options(ctx context.Context) apply.Options {
	return apply.Options{Now: r.clock.Now, Progress: func(p apply.Progress) { logProgress(ctx, p) }}
}

func logProgress(ctx context.Context, p apply.Progress) {
	fields := map[string]any{"cluster": p.Cluster, "elapsed": p.Elapsed.Round(time.Millisecond).String()}
	if p.Number == 0 {
		fields["note"] = p.Note
		tflog.Warn(ctx, string(p.Event), fields)
		return
	}
	fields["step"] = fmt.Sprintf("%d of %d", p.Number, p.Of)
	fields["node"] = p.Step.Node
	fields["what"] = string(p.Step.Kind)
	fields["reason"] = p.Step.Reason
	if p.Phase != "" {
		fields["phase"] = p.Phase
	}
	tflog.Info(ctx, "step "+string(p.Event), fields)
}
