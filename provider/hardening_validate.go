package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// ValidateConfig lets the domain judge settings that become flags and fields, some of which go together and some don't.
// What is not known yet is judged when it is.
func (r *hardening) ValidateConfig(
	ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse,
) {
	var config hardeningModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	values, known := config.managed()
	overrides, _ := config.overrides()
	profile, profileKnown := config.declaredProfile()
	if profileKnown {
		values = settings.Effective(profile, values)
	}
	resp.Diagnostics.Append(config.checkValidity()...)
	resp.Diagnostics.Append(checkManaged(values, overrides)...)
	if known && profileKnown {
		resp.Diagnostics.Append(checkTogether(values)...)
		want := settings.Of(values)
		_, diags := config.declareOwn(&want)
		resp.Diagnostics.Append(diags...)
		resp.Diagnostics.Append(config.checkOwnKey(want)...)
		_, diags = config.declareTunnel(ctx, &want)
		resp.Diagnostics.Append(diags...)
	}
}

// checkVersion refuses what the running cluster's version of Kubernetes lacks.
func (r *hardening) checkVersion(
	ctx context.Context, name string, values map[string]settings.Value, overrides settings.Overrides,
) diag.Diagnostics {
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return nil // what is wrong with the cluster is told elsewhere, and one that is still to be made is no error
	}
	minor, err := opened.KubernetesMinor(ctx)
	switch {
	case err != nil && !settings.VersionMatters(values) && !overrides.VersionMatters():
		return nil
	case err != nil:
		return diag.Diagnostics{hardeningFailed("reading the version of Kubernetes", name, err)}
	}
	if err := settings.CheckCluster(minor); err != nil {
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("cluster"), "Unsupported version of Kubernetes",
			fmt.Sprintf("Cluster %q can't be hardened: %s. Upgrade it, or name another cluster.", name, err))}
	}
	const why = "This cluster can't have it: "
	return append(
		problemsOf(settings.CheckVersion(values, minor), why), nodeProblemsOf(overrides.CheckVersion(minor), why)...)
}
