package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

var someMembers = []settings.Member{
	{Name: "url", Key: "URL", Form: settings.Text, Required: true},
	{Name: "audiences", Key: "audiences", Form: settings.Texts},
	{Name: "issuer", Key: "issuer", Form: settings.Objects, One: true, Members: []settings.Member{
		{Name: "claim", Key: "claim", Form: settings.Text},
	}},
	{Name: "rules", Key: "rules", Form: settings.Objects, Members: []settings.Member{
		{Name: "expression", Key: "expression", Form: settings.Text},
	}},
}

func TestObjectsAreReadBackFromTheirTexts(t *testing.T) {
	for sentence, value := range map[string]settings.Value{
		"none":                    nil,
		"an empty list":           {},
		"what is required alone":  {`{"URL":"https://a"}`},
		"everything, and another": {`{"URL":"","audiences":["a","b"],"issuer":{"claim":"sub"},"rules":[{"expression":"x"},{"expression":"y"}]}`, `{"URL":"b"}`},
	} {
		t.Run(sentence, func(t *testing.T) {
			list := objectList(someMembers, value)
			require.Equal(t, value == nil, list.IsNull())
			if value == nil {
				return
			}
			texts, known := objectTexts(someMembers, list)
			require.True(t, known)
			require.Equal(t, value, texts)
		})
	}
}

func TestWhatAnObjectLeavesOutIsNull(t *testing.T) {
	object := objectList(someMembers, settings.Value{`{"URL":"a","audiences":[],"issuer":{},"rules":null}`}).Elements()[0].(types.Object)
	require.Equal(t, types.StringValue("a"), object.Attributes()["url"])
	for _, name := range []string{"audiences", "issuer", "rules"} {
		require.True(t, object.Attributes()[name].IsNull(), name)
	}
	require.True(t, objectList(someMembers, settings.Value{"nonsense"}).Elements()[0].IsNull())
}

func TestObjectsAreOnlyKnownIfAllOfThemIs(t *testing.T) {
	of := nestedObjectType(someMembers)
	object := objectList(someMembers, settings.Value{`{"URL":"a","issuer":{"claim":"sub"}}`}).Elements()[0].(types.Object)
	attributes := object.Attributes()
	attributes["issuer"] = types.ObjectValueMust(nestedObjectType(someMembers[2].Members).AttrTypes,
		map[string]attr.Value{"claim": types.StringUnknown()})
	_, known := objectTexts(someMembers, types.ListValueMust(of, []attr.Value{types.ObjectValueMust(of.AttrTypes, attributes)}))
	require.False(t, known)
}
