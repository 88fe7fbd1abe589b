package provider

import (
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Elements of settings that are objects are JSON texts in the domain, and nested attributes here. What JSON leaves out is
// null, and the other way round.

func nestedSchemas(members []settings.Member) map[string]schema.Attribute {
	attributes := map[string]schema.Attribute{}
	for _, member := range members {
		attributes[member.Name] = nestedSchema(member)
	}
	return attributes
}

func nestedSchema(member settings.Member) schema.Attribute {
	description, required := member.Meaning, member.Required
	switch {
	case member.Form == settings.Objects && member.One:
		return schema.SingleNestedAttribute{
			MarkdownDescription: description, Required: required, Optional: !required,
			Attributes: nestedSchemas(member.Members),
		}
	case member.Form == settings.Objects:
		return schema.ListNestedAttribute{
			MarkdownDescription: description, Required: required, Optional: !required,
			NestedObject: schema.NestedAttributeObject{Attributes: nestedSchemas(member.Members)},
		}
	case member.Form == settings.Texts:
		return schema.ListAttribute{
			MarkdownDescription: description, Required: required, Optional: !required, ElementType: types.StringType,
		}
	}
	return schema.StringAttribute{MarkdownDescription: description, Required: required, Optional: !required}
}

func nestedObjectType(members []settings.Member) types.ObjectType {
	attributes := map[string]attr.Type{}
	for _, member := range members {
		attributes[member.Name] = nestedType(member)
	}
	return types.ObjectType{AttrTypes: attributes}
}

func nestedType(member settings.Member) attr.Type {
	switch {
	case member.Form == settings.Objects && member.One:
		return nestedObjectType(member.Members)
	case member.Form == settings.Objects:
		return types.ListType{ElemType: nestedObjectType(member.Members)}
	case member.Form == settings.Texts:
		return types.ListType{ElemType: types.StringType}
	}
	return types.StringType
}

// objectTexts reads a list of objects. It returns false if any of it is not known yet.
func objectTexts(members []settings.Member, list types.List) (settings.Value, bool) {
	texts := settings.Value{}
	for _, element := range list.Elements() {
		content, known := nestedContent(settings.Member{Form: settings.Objects, One: true, Members: members}, element)
		if !known {
			return nil, false
		}
		text, err := json.Marshal(content)
		if err != nil {
			return nil, false
		}
		texts = append(texts, string(text))
	}
	return texts, true
}

// nestedContent returns what JSON is made of; nil for what is left out.
func nestedContent(member settings.Member, value attr.Value) (content any, known bool) {
	if value == nil || value.IsNull() {
		return nil, true
	}
	if value.IsUnknown() {
		return nil, false
	}
	switch value := value.(type) {
	case types.String:
		return value.ValueString(), true
	case types.Object:
		return objectContent(member.Members, value)
	case types.List:
		each := member
		each.One = true
		contents := []any{}
		for _, element := range value.Elements() {
			content, known := nestedContent(each, element)
			if !known {
				return nil, false
			}
			contents = append(contents, content)
		}
		return contents, true
	}
	return nil, false
}

func objectContent(members []settings.Member, object types.Object) (any, bool) {
	contents := map[string]any{}
	for _, member := range members {
		content, known := nestedContent(member, object.Attributes()[member.Name])
		if !known {
			return nil, false
		}
		if content != nil {
			contents[member.Key] = content
		}
	}
	return contents, true
}

// objectList shows a list of objects. What somebody else wrote and isn't such an object is shown without content.
func objectList(members []settings.Member, value settings.Value) types.List {
	of := nestedObjectType(members)
	if value == nil {
		return types.ListNull(of)
	}
	elements := make([]attr.Value, len(value))
	for i, text := range value {
		var content any
		_ = json.Unmarshal([]byte(text), &content)
		elements[i] = nestedObject(members, content)
	}
	return types.ListValueMust(of, elements)
}

func nestedObject(members []settings.Member, content any) types.Object {
	of := nestedObjectType(members)
	contents, _ := content.(map[string]any)
	if len(contents) == 0 {
		return types.ObjectNull(of.AttrTypes)
	}
	attributes := map[string]attr.Value{}
	for _, member := range members {
		attributes[member.Name] = nestedAttribute(member, contents[member.Key])
	}
	return types.ObjectValueMust(of.AttrTypes, attributes)
}

func nestedAttribute(member settings.Member, content any) attr.Value {
	items, _ := content.([]any)
	switch {
	case member.Form == settings.Objects && member.One:
		return nestedObject(member.Members, content)
	case member.Form == settings.Objects && len(items) > 0:
		elements := make([]attr.Value, len(items))
		for i, item := range items {
			elements[i] = nestedObject(member.Members, item)
		}
		return types.ListValueMust(nestedObjectType(member.Members), elements)
	case member.Form == settings.Objects:
		return types.ListNull(nestedObjectType(member.Members))
	case member.Form == settings.Texts && len(items) > 0:
		texts := make(settings.Value, len(items))
		for i, item := range items {
			texts[i], _ = item.(string)
		}
		return managedList(texts)
	case member.Form == settings.Texts:
		return managedList(nil)
	}
	if text, isText := content.(string); isText {
		return types.StringValue(text)
	}
	return types.StringNull()
}
