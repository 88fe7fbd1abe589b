package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func TestAPlanLeavesTheCAOpenOnlyWhereOneWillBeMade(t *testing.T) {
	observed := observedWith("", "")
	model := declaring(nil)
	require.Empty(t, model.expect(t.Context(), observed, settings.Of(nil), nil))
	require.Equal(t, types.StringNull(), model.KubeletCA, "there is none, and none is declared")
	steps := []apply.Step{{Kind: apply.CreateIssuer, Node: "dev-control-plane"}}
	require.Empty(t, model.expect(t.Context(), observed, settings.Defaults(), steps))
	require.True(t, model.KubeletCA.IsUnknown())
}
