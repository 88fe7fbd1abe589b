package provider

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func ownCAOf(t *testing.T) (certificate string, own pki.Own) {
	t.Helper()
	ca, err := pki.NewCA("own", time.Now())
	require.NoError(t, err)
	return string(pki.EncodeBundle(ca.Certificate)), pki.Own{Chain: []*x509.Certificate{ca.Certificate}, Key: ca.Key}
}

func ownWith(certificate, key attr.Value) types.Object {
	return types.ObjectValueMust(ownAttributes, map[string]attr.Value{certificatePart: certificate, keyPart: key})
}

func declaringOwn(ca types.Object, provided types.Map) *hardeningModel {
	model := declaring(map[string]attr.Value{"apiserver.verify_kubelets": types.BoolValue(true)})
	model.OwnCA, model.Provided = ca, provided
	return model
}

func TestACAOfTheUsersOwnIsOnlyKnownIfItsCertificateIs(t *testing.T) {
	certificate, own := ownCAOf(t)
	none := types.MapNull(ownType)
	want, known, diags := declaringOwn(ownWith(text(certificate), types.StringNull()), none).declared(t.Context())
	require.Empty(t, diags)
	require.True(t, known)
	require.Equal(t, own.Chain, want.OwnCA.Chain)
	require.Zero(t, want.OwnCA.Key, "a plan has none")

	for name, model := range map[string]*hardeningModel{
		"the CA":              declaringOwn(types.ObjectUnknown(ownAttributes), none),
		"its certificate":     declaringOwn(ownWith(types.StringUnknown(), types.StringNull()), none),
		"provided ones":       declaringOwn(ownWith(text(certificate), types.StringNull()), types.MapUnknown(ownType)),
		"one of these":        declaringOwn(ownWith(text(certificate), types.StringNull()), providing("a", types.ObjectUnknown(ownAttributes))),
		"its certificate too": declaringOwn(ownWith(text(certificate), types.StringNull()), providing("a", ownWith(types.StringUnknown(), types.StringNull()))),
	} {
		_, known, diags := model.declared(t.Context())
		require.Empty(t, diags, name)
		require.False(t, known, name)
	}
}

func providing(node string, object types.Object) types.Map {
	return types.MapValueMust(ownType, map[string]attr.Value{node: object})
}

func TestAKeyThatIsNotKnownYetIsJudgedLater(t *testing.T) {
	certificate, _ := ownCAOf(t)
	model := declaringOwn(ownWith(text(certificate), types.StringUnknown()), types.MapNull(ownType))
	want := settings.Settings{ServingSource: settings.DedicatedCA}
	known, diags := model.declareOwn(&want)
	require.True(t, known)
	require.Empty(t, diags)
	require.Empty(t, model.checkOwnKey(want))
}

func TestNoTextHoldsAKeyThatIsRefused(t *testing.T) {
	certificate, _ := ownCAOf(t)
	_, other := ownCAOf(t)
	model := declaringOwn(ownWith(text(certificate), text(string(other.Key.Reveal()))), types.MapNull(ownType))
	_, diags := model.declareOwn(&settings.Settings{ServingSource: settings.DedicatedCA})
	require.Len(t, diags, 1)
	require.Equal(t, "kubelet_serving_ca.private_key_wo", pathOf(t, diags[0]))
	require.NotContains(t, diags[0].Detail(), string(other.Key.Reveal())[40:80])
}

func TestAnotherCAThanTheDeclaredOneIsDrift(t *testing.T) {
	certificate, own := ownCAOf(t)
	otherCertificate, other := ownCAOf(t)
	model := declaringOwn(ownWith(text("\n"+certificate+"\n"), types.StringNull()), types.MapNull(ownType))
	require.Equal(t, model.OwnCA, model.observedOwnCA(apply.Observation{Own: own.Chain}), "another spelling")
	require.Equal(t, ownObject(otherCertificate), model.observedOwnCA(apply.Observation{Own: other.Chain}))
	require.True(t, model.observedOwnCA(apply.Observation{}).IsNull())

	model.OwnCA = types.ObjectNull(ownAttributes)
	require.True(t, model.observedOwnCA(apply.Observation{Own: own.Chain}).IsNull(), "kubelet_ca shows it")
	model.Profile = types.StringNull()
	require.Equal(t, ownObject(certificate), model.observedOwnCA(apply.Observation{Own: own.Chain}), "it is imported")
}

func TestAnotherCertificateThanTheProvidedOneIsDriftOnItsNode(t *testing.T) {
	certificate, own := ownCAOf(t)
	otherCertificate, other := ownCAOf(t)
	held := ownWith(text(certificate), types.StringNull())
	model := declaringOwn(held, types.MapValueMust(ownType, map[string]attr.Value{"a": held, "b": held, "gone": held}))
	observed := apply.Observation{Nodes: []apply.NodeObservation{
		{Name: "a", Serving: apply.ServingObservation{Chain: own.Chain}},
		{Name: "b", Serving: apply.ServingObservation{Chain: other.Chain}},
		{Name: "c", Serving: apply.ServingObservation{Chain: other.Chain}},
	}}
	require.Equal(t, types.MapValueMust(ownType, map[string]attr.Value{
		"a": held, "b": ownObject(otherCertificate), "gone": held,
	}), model.observedProvided(observed))
	model.Provided = types.MapNull(ownType)
	require.True(t, model.observedProvided(observed).IsNull())
}
