package provider

import (
	"maps"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The attributes of settings that profiles may say something of are made from the table of settings. They are optional and
// not computed: one that is left out is null in every plan, and in state as long as the nodes have what the profile says,
// or else what they had before kubecomm.

// The objects that hold such attributes.
const (
	apiserverGroup         = "apiserver"
	kubeletGroup           = "kubelet"
	controllerManagerGroup = "controller_manager"
	schedulerGroup         = "scheduler"
	etcdGroup              = "etcd"
)

// managedGroups have managed attributes alone.
var managedGroups = []string{apiserverGroup, controllerManagerGroup, schedulerGroup, etcdGroup}

// groups are the objects of a model, by name.
func (m *hardeningModel) groups() map[string]*types.Object {
	return map[string]*types.Object{
		apiserverGroup: &m.APIServer, kubeletGroup: &m.Kubelet, controllerManagerGroup: &m.ControllerManager,
		schedulerGroup: &m.Scheduler, etcdGroup: &m.Etcd, tunnelGroup: &m.Tunnel,
	}
}

// withManaged adds the types of a group's managed attributes to those of its others.
func withManaged(group string, others map[string]attr.Type) map[string]attr.Type {
	all := map[string]attr.Type{}
	maps.Copy(all, others)
	maps.Copy(all, managedTypes(managedOf(group)))
	return all
}

func managedTypes(of []settings.Setting) map[string]attr.Type {
	all := map[string]attr.Type{}
	for _, setting := range of {
		all[setting.Attribute()] = managedType(setting)
	}
	return all
}

// withManagedSchema does the same with their schemas.
func withManagedSchema(group string, others map[string]schema.Attribute) map[string]schema.Attribute {
	all := map[string]schema.Attribute{}
	maps.Copy(all, others)
	for _, setting := range managedOf(group) {
		all[setting.Attribute()] = managedSchema(setting, settings.Describe(setting.Name))
	}
	return all
}

func managedSchema(setting settings.Setting, description string) schema.Attribute {
	switch {
	case setting.Form == settings.Objects:
		return schema.ListNestedAttribute{
			MarkdownDescription: description, Optional: true,
			NestedObject: schema.NestedAttributeObject{Attributes: nestedSchemas(setting.Members)},
		}
	case setting.Form.List():
		return schema.ListAttribute{MarkdownDescription: description, ElementType: types.StringType, Optional: true}
	case setting.Form == settings.Switch:
		return schema.BoolAttribute{MarkdownDescription: description, Optional: true}
	case setting.Form == settings.Number:
		return schema.Int64Attribute{MarkdownDescription: description, Optional: true}
	}
	return schema.StringAttribute{MarkdownDescription: description, Optional: true}
}

// withManagedNull adds nulls, for an object's default.
func withManagedNull(group string, others map[string]attr.Value) map[string]attr.Value {
	all := map[string]attr.Value{}
	maps.Copy(all, others)
	for _, setting := range managedOf(group) {
		all[setting.Attribute()] = managedAttribute(setting, nil)
	}
	return all
}

func managedOf(group string) []settings.Setting {
	var found []settings.Setting
	for _, setting := range settings.Declarable() {
		if setting.Group() == group && !strings.Contains(setting.Attribute(), ".") {
			found = append(found, setting)
		}
	}
	return found
}

func managedType(setting settings.Setting) attr.Type {
	switch {
	case setting.Form == settings.Objects:
		return types.ListType{ElemType: nestedObjectType(setting.Members)}
	case setting.Form.List():
		return types.ListType{ElemType: types.StringType}
	case setting.Form == settings.Switch:
		return types.BoolType
	case setting.Form == settings.Number:
		return types.Int64Type
	}
	return types.StringType
}

// managedAttribute shows a value. Of a switch or a number that somebody else wrote and that is none, it shows nothing.
func managedAttribute(setting settings.Setting, value settings.Value) attr.Value {
	switch {
	case setting.Form == settings.Objects:
		return objectList(setting.Members, value)
	case setting.Form.List():
		return managedList(value)
	case setting.Form == settings.Switch:
		if on, err := strconv.ParseBool(value.String()); err == nil {
			return types.BoolValue(on)
		}
		return types.BoolNull()
	case setting.Form == settings.Number:
		if number, err := strconv.ParseInt(value.String(), 10, 64); err == nil {
			return types.Int64Value(number)
		}
		return types.Int64Null()
	case value == nil:
		return types.StringNull()
	}
	return types.StringValue(value.String())
}

func managedList(value settings.Value) types.List {
	if value == nil {
		return types.ListNull(types.StringType)
	}
	texts := make([]attr.Value, len(value))
	for i, text := range value {
		texts[i] = types.StringValue(text)
	}
	return types.ListValueMust(types.StringType, texts)
}

// managedValue reads an attribute. It returns false if any of it is not known yet.
func managedValue(setting settings.Setting, attribute attr.Value) (settings.Value, bool) {
	if attribute == nil || attribute.IsNull() {
		return nil, true
	}
	if attribute.IsUnknown() {
		return nil, false
	}
	switch attribute := attribute.(type) {
	case types.Bool:
		return settings.Value{strconv.FormatBool(attribute.ValueBool())}, true
	case types.Int64:
		return settings.Value{strconv.FormatInt(attribute.ValueInt64(), 10)}, true
	case types.String:
		return settings.Value{attribute.ValueString()}, true
	case types.List:
		if setting.Form == settings.Objects {
			return objectTexts(setting.Members, attribute)
		}
		value := settings.Value{}
		for _, element := range attribute.Elements() {
			text, _ := element.(types.String)
			if text.IsUnknown() {
				return nil, false
			}
			value = append(value, text.ValueString())
		}
		return value, true
	}
	return nil, false
}

// managed reads the values that are declared, and whether all of them are known. One that isn't yet is nil.
func (m *hardeningModel) managed() (values map[string]settings.Value, known bool) {
	values, known = map[string]settings.Value{}, true
	read := func(setting settings.Setting, attribute attr.Value) {
		value, valueKnown := managedValue(setting, attribute)
		known = known && valueKnown
		if value != nil || !valueKnown {
			values[setting.Name] = value
		}
	}
	for group, object := range m.groups() {
		known = known && !object.IsUnknown()
		for _, setting := range managedOf(group) {
			read(setting, object.Attributes()[setting.Attribute()])
		}
	}
	certificates := attribute[types.Object](m.Kubelet, "serving_certificates")
	known = known && !certificates.IsUnknown()
	read(settings.Setting{Name: settings.NameServingSource}, certificates.Attributes()["source"])
	return values, known
}

// declaredProfile returns false if the profile isn't known yet.
func (m *hardeningModel) declaredProfile() (settings.Profile, bool) {
	if m.Profile.IsNull() { // it was imported, or is read before defaults are
		return settings.DefaultProfile, true
	}
	return settings.Profile(m.Profile.ValueString()), !m.Profile.IsUnknown()
}

// effectiveValues returns what the model stands for, and whether all of that is known.
func (m *hardeningModel) effectiveValues() (map[string]settings.Value, bool) {
	values, known := m.managed()
	profile, profileKnown := m.declaredProfile()
	return settings.Effective(profile, values), known && profileKnown
}

// effectiveAttribute shows what the model stands for.
func (m *hardeningModel) effectiveAttribute() types.Map {
	effective, known := m.effectiveValues()
	overrides, overridesKnown := m.overrides()
	if !known || !overridesKnown {
		return types.MapUnknown(types.StringType)
	}
	texts := map[string]attr.Value{}
	for name, value := range effective {
		texts[name] = types.StringValue(value.String())
	}
	for node, values := range overrides {
		for _, setting := range settings.PerNode() {
			if value := values[setting.Name]; value != nil {
				texts[effectiveKey(node, setting)] = types.StringValue(value.String())
			}
		}
	}
	return types.MapValueMust(types.StringType, texts)
}

// observedManaged adds a group's managed attributes as they were observed to its others.
func (m *hardeningModel) observedManaged(
	group string, observed apply.Observation, others map[string]attr.Value,
) map[string]attr.Value {
	held, _ := m.managed()
	effective, _ := m.effectiveValues()
	for _, setting := range managedOf(group) {
		name := setting.Name
		value := m.asForAll(setting, observed).Value(setting, held[name], effective[name])
		others[setting.Attribute()] = managedAttribute(setting, value)
	}
	return others
}

// checkManaged lets the domain judge the values that are known: those for all, and each node's.
func checkManaged(values map[string]settings.Value, overrides settings.Overrides) diag.Diagnostics {
	const advice = "Give another value: "
	return append(problemsOf(settings.Check(values), advice), nodeProblemsOf(overrides.Check(values), advice)...)
}

// checkTogether does the same with all of them.
func checkTogether(effective map[string]settings.Value) diag.Diagnostics {
	return problemsOf(settings.CheckTogether(effective), "Change one of the two: ")
}

// settingPath is where a setting is in the configuration.
func settingPath(setting string) path.Path {
	at := path.Empty()
	for step := range strings.SplitSeq(setting, ".") {
		at = at.AtName(step)
	}
	return at
}

// problemsOf shows problems on their attributes. Terraform shows where a top-level attribute is, but not one inside, so
// that is said.
func problemsOf(problems []settings.Problem, advice string) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, problem := range problems {
		diags.AddAttributeError(settingPath(problem.Name), "Invalid value for "+problem.Name, advice+problem.Err.Error()+".")
	}
	return diags
}
