package apply

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func newOwn(t *testing.T) (*pki.CA, *pki.Own) {
	t.Helper()
	ca, err := pki.NewCA("own", planTime)
	require.NoError(t, err)
	return ca, &pki.Own{Chain: []*x509.Certificate{ca.Certificate}, Key: ca.Key}
}

// ownHardened is a cluster after an apply with a CA of the user's own.
func ownHardened(t *testing.T, ca *pki.CA) Observation {
	t.Helper()
	observed := hardenedBy(t, ca)
	observed.Own = []*x509.Certificate{ca.Certificate}
	return observed
}

func TestACAOfTheUsersOwnTakesThePlaceOfAnotherAsARotationDoes(t *testing.T) {
	ca, own := newOwn(t)
	otherCA, other := newOwn(t)
	const first, worker = "dev-control-plane", "dev-worker"
	becomes := func(issuer Kind, reason string) []planned {
		return []planned{
			{issuer, first, reason}, {TrustBoth, first, ""}, {IssueServing, first, ""}, {IssueServing, worker, ""},
			{ReplaceAPIServer, first, ""},
		}
	}
	tests := map[string]struct {
		observed Observation
		own      *pki.Own
		want     []planned
	}{
		"kubecomm's by the user's":                   {hardened(t), own, becomes(AdoptIssuer, "user's own is declared")},
		"the user's by another of the user's":        {ownHardened(t, otherCA), own, becomes(AdoptIssuer, "another CA is declared")},
		"the user's by kubecomm's":                   {ownHardened(t, otherCA), nil, becomes(CreateIssuer, "no longer declared")},
		"none by the user's, on a stock cluster":     {stock(), own, append(becomes(AdoptIssuer, "")[:1], becomes(AdoptIssuer, "")[2:]...)},
		"the user's by the same":                     {ownHardened(t, ca), own, nil},
		"one that is due, which is the user's to do": {due(ownHardened(t, otherCA)), other, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := settings.Defaults()
			want.OwnCA = test.own
			requireSteps(t, test.want, Plan(test.observed, want))
		})
	}
}

// due lets two thirds of the CA's life be over, after certificates were renewed.
func due(observed Observation) Observation {
	observed.Time = planTime.Add(pki.CALifetime/3*2 + time.Hour)
	for i := range observed.Nodes {
		leaf := observed.Nodes[i].Serving.Chain[0]
		leaf.NotBefore, leaf.NotAfter = observed.Time, observed.Time.Add(settings.Defaults().ServingValidity)
	}
	return observed
}

func TestFilesOfKubecommsCAAreTakenAwayFromControlPlanesThatStillHaveThem(t *testing.T) {
	ca, own := newOwn(t)
	observed, want := ownHardened(t, ca), settings.Defaults()
	want.OwnCA = own
	kubecomms := issuerFiles{certificate: hardened(t).Issuer, keyDigest: "digest"}
	users := issuerFiles{own: own.Chain}
	both := issuerFiles{certificate: kubecomms.certificate, keyDigest: "digest", own: own.Chain}

	require.True(t, judge(observed, []issuerFiles{users}).Nodes[0].APIServer.IssuerCurrent)
	require.Empty(t, Plan(judge(observed, []issuerFiles{users}), want))
	judged := judge(observed, []issuerFiles{both})
	require.Equal(t, own.Chain, judged.Own, "what was written last counts")
	requireSteps(t, []planned{{AdoptIssuer, "dev-control-plane", "missing or differ"}}, Plan(judged, want))
	require.False(t, users.equal(kubecomms))
	require.False(t, kubecomms.equal(users))
	require.True(t, kubecomms.equal(kubecomms))
	require.Nil(t, judge(observed, []issuerFiles{{certificate: kubecomms.certificate}}).Issuer, "a CA without its key")
}

func TestCertificatesAboveAreServedAsTheyAreDeclared(t *testing.T) {
	ca, own := newOwn(t)
	above, _ := newOwn(t)
	observed, want := ownHardened(t, ca), settings.Defaults()
	subordinate := *ca.Certificate
	subordinate.RawIssuer = above.Certificate.RawIssuer[1:]
	own.Chain = []*x509.Certificate{&subordinate, above.Certificate}
	want.OwnCA = own
	requireSteps(t, []planned{
		{AdoptIssuer, "dev-control-plane", "another CA is declared"},
		{IssueServing, "dev-control-plane", "other certificates above it"}, {IssueServing, "dev-worker", "other certificates above it"},
	}, Plan(observed, want))
}

func TestAProvidedCertificateIsInstalledWhereAnotherIsServed(t *testing.T) {
	ca, own := newOwn(t)
	const first, worker = "dev-control-plane", "dev-worker"
	provided := map[string]pki.Own{}
	for _, node := range ownHardened(t, ca).Nodes {
		provided[node.Name] = pki.Own{Chain: node.Serving.Chain}
	}
	serves := func(change func(*Observation)) Observation {
		observed := ownHardened(t, ca)
		for i := range observed.Nodes {
			observed.Nodes[i].Serving.Chain = provided[observed.Nodes[i].Name].Chain
		}
		change(&observed)
		return observed
	}
	tests := map[string]struct {
		observed Observation
		want     []planned
	}{
		"every node serves its own": {serves(func(*Observation) {}), nil},
		"a node serves another of the same CA": {
			serves(func(o *Observation) { o.Nodes[1].issue(t, ca) }),
			[]planned{{InstallServing, worker, "it serves another than the provided one"}},
		},
		"a node serves none": {
			serves(func(o *Observation) { o.Nodes[1].Serving.Chain = nil }), []planned{{InstallServing, worker, "it serves none"}},
		},
		"a node serves it with another above it": {
			serves(func(o *Observation) {
				o.Nodes[1].Serving.Chain = slices.Concat(provided[worker].Chain, []*x509.Certificate{ca.Certificate})
			}),
			[]planned{{InstallServing, worker, "with others above it"}},
		},
		"every node serves one of kubecomm's CA": {hardened(t), []planned{
			{AdoptIssuer, first, ""}, {TrustBoth, first, ""}, {InstallServing, first, ""}, {InstallServing, worker, ""},
			{ReplaceAPIServer, first, ""},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := settings.Defaults()
			want.OwnCA, want.ServingSource, want.Provided = &pki.Own{Chain: own.Chain}, settings.Provided, provided
			requireSteps(t, test.want, Plan(test.observed, want))
		})
	}
}
