package provider

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/helper"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// withCertificates is a model with these serving certificates; null for what is left out.
func withCertificates(source, validity types.String) *hardeningModel {
	model := declaring(nil)
	attributes := model.Kubelet.Attributes()
	attributes["serving_certificates"] = types.ObjectValueMust(servingAttributes, map[string]attr.Value{
		"source": source, "validity": validity,
		"rotate_when_changed": types.StringNull(),
	})
	model.Kubelet = types.ObjectValueMust(kubeletAttributes, attributes)
	return model
}

func TestALifetimeIsRefusedWhereItIsNotKubecommThatIssues(t *testing.T) {
	csr, issued, year := text(string(settings.CSR)), text(string(settings.DedicatedCA)), text("8760h")
	require.Empty(t, withCertificates(csr, types.StringNull()).checkValidity())
	require.Empty(t, withCertificates(issued, year).checkValidity())
	require.Empty(t, withCertificates(types.StringNull(), year).checkValidity())
	require.Empty(t, withCertificates(types.StringUnknown(), year).checkValidity())
	diags := withCertificates(csr, year).checkValidity()
	require.Len(t, diags, 1)
	require.Contains(t, diags[0].Detail(), "--cluster-signing-duration")
}

func TestABuildWithoutTheProgramIsToldOfOnTheAttributeThatNeedsIt(t *testing.T) {
	require.Empty(t, checkProgram(settings.Settings{}, nil))
	diags := checkProgram(settings.Settings{}, fmt.Errorf("node dev-control-plane: %w", helper.ErrNotCarried))
	require.Len(t, diags, 1)
	require.Contains(t, diags[0].Detail(), "make build")
	require.Contains(t, diags[0].Detail(), `source = "dedicated_ca"`)
	require.NoError(t, apply.CheckProgram(nil, settings.Defaults()), "nothing needs it")
}

func TestAnApproverIsShownAsItWasFoundAndAsItWillBe(t *testing.T) {
	require.Equal(t, types.ObjectNull(approverAttributes), newApproverModel(
		apply.ApproverObservation{Problem: errors.New("none")}, apply.AccountObservation{}).object())
	forbidden := apply.AccountObservation{Known: true, Problem: "there is no Role r"}
	stopped := newApproverModel(
		apply.ApproverObservation{Present: true, SHA256: "ab", Problem: errors.New("it was stopped")}, forbidden).object()
	require.Equal(t, types.BoolValue(false), stopped.Attributes()["active"])
	require.Equal(t, text("it was stopped"), stopped.Attributes()["problem"])
	require.Equal(t, text("ab"), stopped.Attributes()["sha256"])

	const node = "dev-control-plane"
	after := func(kind apply.Kind) types.Object {
		return approverAfter(stopped, node, []apply.Step{{Kind: kind, Node: node}})
	}
	require.Equal(t, stopped, after(apply.ReplaceScheduler))
	require.True(t, after(apply.RemoveApprover).IsNull())
	installed := after(apply.InstallApprover).Attributes()
	require.Equal(t, types.BoolValue(true), installed["active"])
	require.True(t, installed["problem"].IsNull())
	require.True(t, installed["sha256"].IsUnknown())

	lacking := newApproverModel(apply.ApproverObservation{Present: true, Active: true}, forbidden).object()
	require.Equal(t, text("it may not do what it is for: there is no Role r"), lacking.Attributes()["problem"])
	allowed := approverAfter(lacking, node, []apply.Step{{Kind: apply.AllowApprover, Node: node}}).Attributes()
	require.Equal(t, types.BoolValue(true), allowed["active"])
	require.True(t, allowed["problem"].IsNull())
}

func TestHowLongARequestedCertificateIsValidIsNoDrift(t *testing.T) {
	model := withCertificates(text(string(settings.CSR)), text("8760h"))
	require.Empty(t, model.observe(t.Context(), observedWith("", "")))
	certificates := attribute[types.Object](model.Kubelet, "serving_certificates")
	require.Equal(t, text("8760h"), attribute[types.String](certificates, "validity"))
	require.True(t, attribute[types.String](certificates, "source").IsNull(), "no kubelet has one")
}
