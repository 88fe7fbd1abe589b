package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
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
	values, _ := config.managed()
	resp.Diagnostics.Append(checkManaged(values)...)
}
