package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

func TestARoleThatCannotBeUsedIsRefusedOnItsAttributeByAnApplyAndTheSubjectOfAWarningBefore(t *testing.T) {
	missing := &apply.MissingRoleError{Cluster: "dev", Role: "streams"}
	failure := hardeningFailed("changing", "dev", fmt.Errorf("wrapped: %w", missing))
	located, ok := failure.(diag.DiagnosticWithPath)
	require.True(t, ok)
	require.Equal(t, clientRolePath, located.Path())
	require.Equal(t, "The ClusterRole for the apiservers can't be used", failure.Summary())
	require.Contains(t, failure.Detail(), "Nothing was changed.\n\nError: cluster dev has no ClusterRole \"streams\"")

	var diags diag.Diagnostics
	warnRole(&diags, nil)
	require.Empty(t, diags)
	warnRole(&diags, missing)
	require.Len(t, diags, 1)
	require.Equal(t, diag.SeverityWarning, diags[0].Severity())
	require.Contains(t, diags[0].Detail(), `Now, cluster dev has no ClusterRole "streams".`)
}

func TestWhoTheApiserverWillBeIsLeftOpenWhereStepsChangeIt(t *testing.T) {
	known := clientModel{Subject: text("CN=x"), ClusterRoles: managedList([]string{"view"})}.object()
	asked := apply.Observation{Policy: &access.Policy{}}
	bind, other := []apply.Step{{Kind: apply.BindKubeletClient}}, []apply.Step{{Kind: apply.ConfigureKubelet}}
	require.Equal(t, known, clientAfter(known, asked, nil))
	require.Equal(t, known, clientAfter(known, asked, other))
	require.True(t, clientAfter(known, asked, bind).IsUnknown())
	require.True(t, clientAfter(known, apply.Observation{}, other).IsUnknown(), "an API that didn't answer will")
	worker := types.ObjectNull(clientAttributes)
	require.Equal(t, worker, clientAfter(worker, asked, bind))
}

func TestACustomIdentityIsDeclaredWithItsRole(t *testing.T) {
	custom := map[string]attr.Value{"apiserver.kubelet_client_identity": text("custom")}
	_, known, diags := declaring(custom).declared(t.Context())
	require.False(t, known)
	require.Len(t, diags, 1)
	require.Equal(t, "Invalid value for apiserver.kubelet_client_identity", diags[0].Summary())

	custom["apiserver.kubelet_client_cluster_role"] = types.StringUnknown()
	_, known, diags = declaring(custom).declared(t.Context())
	require.False(t, known)
	require.Empty(t, diags, "a role that isn't known yet may be one")

	custom["apiserver.kubelet_client_cluster_role"] = text("streams")
	want, known, diags := declaring(custom).declared(t.Context())
	require.True(t, known)
	require.Empty(t, diags)
	require.Equal(t, "streams", want.KubeletClientRole)
}
