package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// A running cluster doesn't tell all that it was created with. After an import, what it doesn't tell is null in the
// state, and the first apply takes it from the configuration without replacing the cluster.

// adoptingKey marks, in the private state, a cluster that was imported and not applied since.
const adoptingKey = "adopting"

var (
	adopting = []byte(`true`)
	adopted  = []byte(`false`)
)

// privateState is the part of the framework's private state that is needed; its own type is internal to it.
type privateState interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

func isAdopting(ctx context.Context, private privateState) (bool, diag.Diagnostics) {
	value, diags := private.GetKey(ctx, adoptingKey)
	return string(value) == string(adopting), diags
}

// replaces says whether a change of an attribute replaces the cluster.
func replaces(
	ctx context.Context, private privateState, at path.Path, state attr.Value,
) (bool, diag.Diagnostics) {
	if !state.IsNull() {
		return true, nil
	}
	adopting, diags := isAdopting(ctx, private)
	if adopting {
		diags.Append(adoptionWarning(at))
	}
	return !adopting, diags
}

func adoptionWarning(at path.Path) diag.Diagnostic {
	return diag.NewAttributeWarningDiagnostic(at, "Taken from the configuration, not from the cluster", fmt.Sprintf(
		"The cluster was imported, and a running cluster doesn't tell its %s. This apply takes it to be as configured and "+
			"changes nothing on the cluster; later changes replace it. If the cluster isn't like that, replace it now "+
			"(terraform apply -replace).", at))
}

const replaceDescription = "Changing it replaces the cluster, except for the first apply after an import."

func replaceList() planmodifier.List {
	return listplanmodifier.RequiresReplaceIf(func(
		ctx context.Context, req planmodifier.ListRequest, resp *listplanmodifier.RequiresReplaceIfFuncResponse,
	) {
		resp.RequiresReplace, resp.Diagnostics = replaces(ctx, req.Private, req.Path, req.StateValue)
	}, replaceDescription, replaceDescription)
}

func replaceMap() planmodifier.Map {
	return mapplanmodifier.RequiresReplaceIf(func(
		ctx context.Context, req planmodifier.MapRequest, resp *mapplanmodifier.RequiresReplaceIfFuncResponse,
	) {
		resp.RequiresReplace, resp.Diagnostics = replaces(ctx, req.Private, req.Path, req.StateValue)
	}, replaceDescription, replaceDescription)
}

func replaceObject() planmodifier.Object {
	return objectplanmodifier.RequiresReplaceIf(func(
		ctx context.Context, req planmodifier.ObjectRequest, resp *objectplanmodifier.RequiresReplaceIfFuncResponse,
	) {
		resp.RequiresReplace, resp.Diagnostics = replaces(ctx, req.Private, req.Path, req.StateValue)
	}, replaceDescription, replaceDescription)
}

// replaceForOtherImage lets an image be written in another way.
func replaceForOtherImage() planmodifier.String {
	return stringplanmodifier.RequiresReplaceIf(func(
		ctx context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse,
	) {
		if !req.PlanValue.IsUnknown() && cluster.SameImage(req.StateValue.ValueString(), req.PlanValue.ValueString()) {
			return
		}
		resp.RequiresReplace, resp.Diagnostics = replaces(ctx, req.Private, req.Path, req.StateValue)
	}, replaceDescription, replaceDescription)
}

// replaceNodes lets an import adopt everything of nodes but their roles and images, which were read.
func replaceNodes() planmodifier.List {
	return listplanmodifier.RequiresReplaceIf(func(
		ctx context.Context, req planmodifier.ListRequest, resp *listplanmodifier.RequiresReplaceIfFuncResponse,
	) {
		adopting, diags := isAdopting(ctx, req.Private)
		resp.Diagnostics.Append(diags...)
		resp.RequiresReplace = true
		if !adopting || req.PlanValue.IsUnknown() {
			return
		}
		var shared types.String
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("node_image"), &shared)...)
		found, diags := nodeModels(ctx, req.StateValue)
		resp.Diagnostics.Append(diags...)
		declared, diags := nodeModels(ctx, req.PlanValue)
		resp.Diagnostics.Append(diags...)
		if adoptable(found, declared, shared) {
			resp.RequiresReplace = false
			resp.Diagnostics.Append(adoptionWarning(req.Path))
		}
	}, replaceDescription, replaceDescription)
}

// adoptable says whether declared nodes can be the ones that an import found, of which those without an image have the
// shared one. Their order can't be told from a running cluster, only that within a role.
func adoptable(found, declared []nodeModel, shared types.String) bool {
	byRole := map[string][]types.String{}
	for _, node := range found {
		image := node.Image
		if image.IsNull() {
			image = shared
		}
		byRole[node.Role.ValueString()] = append(byRole[node.Role.ValueString()], image)
	}
	for _, node := range declared {
		role := node.Role.ValueString()
		if len(byRole[role]) == 0 {
			return false
		}
		actual := byRole[role][0]
		byRole[role] = byRole[role][1:]
		known := !node.Image.IsNull() && !actual.IsNull()
		if known && !cluster.SameImage(node.Image.ValueString(), actual.ValueString()) {
			return false
		}
	}
	return len(found) == len(declared)
}
