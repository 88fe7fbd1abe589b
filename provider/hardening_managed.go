package provider

import (
	"maps"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The attributes of the settings that become an apiserver's flag or a field of a kubelet's configuration are made from
// the table of settings. They are optional and not computed: one that is left out is null in every plan, and in state as
// long as the nodes have what they had before kubecomm.

// The objects that hold such attributes.
const (
	apiserverGroup = "apiserver"
	kubeletGroup   = "kubelet"
)

// withManaged adds the types of a group's managed attributes to those of its others.
func withManaged(group string, others map[string]attr.Type) map[string]attr.Type {
	all := maps.Clone(others)
	for _, setting := range managedOf(group) {
		all[setting.Attribute()] = managedType(setting)
	}
	return all
}

// withManagedSchema does the same with their schemas.
func withManagedSchema(group string, others map[string]schema.Attribute) map[string]schema.Attribute {
	all := maps.Clone(others)
	for _, setting := range managedOf(group) {
		description := settings.Describe(setting.Name)
		if setting.Form == settings.Texts {
			all[setting.Attribute()] = schema.ListAttribute{
				MarkdownDescription: description, ElementType: types.StringType, Optional: true,
			}
			continue
		}
		all[setting.Attribute()] = schema.StringAttribute{MarkdownDescription: description, Optional: true}
	}
	return all
}

// withManagedNull adds nulls, for an object's default.
func withManagedNull(group string, others map[string]attr.Value) map[string]attr.Value {
	all := maps.Clone(others)
	for _, setting := range managedOf(group) {
		all[setting.Attribute()] = managedAttribute(setting, nil)
	}
	return all
}

func managedOf(group string) []settings.Setting {
	var found []settings.Setting
	for _, setting := range settings.Managed() {
		if setting.Group() == group {
			found = append(found, setting)
		}
	}
	return found
}

func managedType(setting settings.Setting) attr.Type {
	if setting.Form == settings.Texts {
		return types.ListType{ElemType: types.StringType}
	}
	return types.StringType
}

func managedAttribute(setting settings.Setting, value settings.Value) attr.Value {
	texts := make([]attr.Value, len(value))
	for i, text := range value {
		texts[i] = types.StringValue(text)
	}
	switch {
	case setting.Form == settings.Texts && value == nil:
		return types.ListNull(types.StringType)
	case setting.Form == settings.Texts:
		return types.ListValueMust(types.StringType, texts)
	case value == nil:
		return types.StringNull()
	}
	return types.StringValue(value.String())
}

// managedValue reads an attribute. It returns false if any of it is not known yet.
func managedValue(attribute attr.Value) (settings.Value, bool) {
	if attribute == nil || attribute.IsNull() {
		return nil, true
	}
	if attribute.IsUnknown() {
		return nil, false
	}
	list, isList := attribute.(types.List)
	if !isList {
		text, _ := attribute.(types.String)
		return settings.Value{text.ValueString()}, true
	}
	value := settings.Value{}
	for _, element := range list.Elements() {
		text, _ := element.(types.String)
		if text.IsUnknown() {
			return nil, false
		}
		value = append(value, text.ValueString())
	}
	return value, true
}

// managed reads the values of the settings that become flags or fields, as far as they are known, and whether all are.
func (m hardeningModel) managed() (values map[string]settings.Value, known bool) {
	values, known = map[string]settings.Value{}, true
	for group, object := range map[string]types.Object{apiserverGroup: m.APIServer, kubeletGroup: m.Kubelet} {
		known = known && !object.IsUnknown()
		for _, setting := range managedOf(group) {
			value, valueKnown := managedValue(object.Attributes()[setting.Attribute()])
			known = known && valueKnown
			if value != nil {
				values[setting.Name] = value
			}
		}
	}
	return values, known
}

// observedManaged adds a group's managed attributes as they were observed to its others.
func (m hardeningModel) observedManaged(
	group string, observed apply.Observation, others map[string]attr.Value,
) map[string]attr.Value {
	held, _ := m.managed()
	for _, setting := range managedOf(group) {
		others[setting.Attribute()] = managedAttribute(setting, observed.Value(setting, held[setting.Name]))
	}
	return others
}

// checkManaged lets the domain judge the values that are known. Terraform shows where a top-level attribute is, but not
// one inside, so that is said.
func checkManaged(values map[string]settings.Value) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, problem := range settings.Check(values) {
		at := path.Empty()
		for step := range strings.SplitSeq(problem.Name, ".") {
			at = at.AtName(step)
		}
		diags.AddAttributeError(at, "Invalid value for "+problem.Name, "Give another value: "+problem.Err.Error()+".")
	}
	return diags
}
