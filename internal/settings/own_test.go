package settings

import (
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

func ownChain(t *testing.T, ca *pki.CA) pki.Own {
	t.Helper()
	return pki.Own{Chain: []*x509.Certificate{ca.Certificate}}
}

func TestWhatIsTheUsersOwnGoesTogetherOrIsRefused(t *testing.T) {
	ca, err := pki.NewCA("own", testTime)
	require.NoError(t, err)
	own := ownChain(t, ca)
	provided := map[string]pki.Own{"node": own}
	tests := map[string]struct {
		declared Settings
		refused  []string // the names of what is refused
	}{
		"nothing":                             {Settings{ServingSource: DedicatedCA}, nil},
		"a CA that issues":                    {Settings{ServingSource: DedicatedCA, OwnCA: &own}, nil},
		"a CA of provided certificates":       {Settings{ServingSource: Provided, OwnCA: &own, Provided: provided}, nil},
		"a CA that the cluster can't sign by": {Settings{ServingSource: CSR, OwnCA: &own}, []string{"kubelet_serving_ca"}},
		"a CA where nobody has any":           {Settings{OwnCA: &own}, []string{"kubelet_serving_ca"}},
		"provided ones without a CA":          {Settings{ServingSource: Provided, Provided: provided}, []string{"kubelet_serving_ca"}},
		"provided ones that aren't there":     {Settings{ServingSource: Provided, OwnCA: &own}, []string{"kubelet_serving_certificates"}},
		"provided ones that nobody takes":     {Settings{ServingSource: DedicatedCA, Provided: provided}, []string{"kubelet_serving_certificates"}},
		"a rotation of what isn't kubecomm's": {Settings{ServingSource: DedicatedCA, OwnCA: &own, CAGeneration: "2"}, []string{NameRotation}},
		"nothing of what it takes": {
			Settings{ServingSource: Provided}, []string{"kubelet_serving_ca", "kubelet_serving_certificates"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var refused []string
			for _, problem := range test.declared.CheckOwn() {
				refused = append(refused, problem.Name)
				require.Error(t, problem.Err)
			}
			require.Equal(t, test.refused, refused)
		})
	}
}

func TestACAOfTheUsersOwnMustBeValidNow(t *testing.T) {
	ca, err := pki.NewCA("own", testTime)
	require.NoError(t, err)
	own := ownChain(t, ca)
	require.Empty(t, Settings{}.CheckOwnCA(testTime))
	require.Empty(t, Settings{OwnCA: &own}.CheckOwnCA(testTime))
	problems := Settings{OwnCA: &own}.CheckOwnCA(testTime.Add(2 * pki.CALifetime))
	require.Len(t, problems, 1)
	require.Equal(t, NameOwnCA, problems[0].Name)
	require.ErrorContains(t, problems[0].Err, "has expired on")
}

func TestEveryNodeNeedsAProvidedCertificateThatApiserversTake(t *testing.T) {
	ca, err := pki.NewCA("own", testTime)
	require.NoError(t, err)
	stranger, err := pki.NewCA("stranger", testTime)
	require.NoError(t, err)
	own := ownChain(t, ca)
	nodes := map[string][]netip.Addr{
		"first":  {netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fc00::2")},
		"second": {netip.MustParseAddr("172.18.0.3")},
	}
	issue := func(ca *pki.CA, node string) pki.Own {
		issued, err := ca.IssueServing(pki.ServingRequest{Node: node, Addresses: nodes[node], Lifetime: time.Hour, Now: testTime})
		require.NoError(t, err)
		return pki.Own{Chain: issued.Chain()}
	}
	tests := map[string]struct {
		change func(map[string]pki.Own)
		at     time.Time
		node   string
		refuse string
	}{
		"all have theirs":  {change: func(map[string]pki.Own) {}},
		"one has none":     {change: func(p map[string]pki.Own) { delete(p, "second") }, node: "second", refuse: "node second has no certificate; the cluster's nodes are first, second"},
		"one isn't there":  {change: func(p map[string]pki.Own) { p["third"] = p["first"] }, node: "third", refuse: "the cluster has no node third; its nodes are first, second"},
		"one is another's": {change: func(p map[string]pki.Own) { p["second"] = p["first"] }, node: "second", refuse: "certificate is valid for 172.18.0.2, fc00::2, not 172.18.0.3"},
		"one is a stranger's": {
			change: func(p map[string]pki.Own) { p["second"] = issue(stranger, "second") }, node: "second", refuse: "unknown authority",
		},
		"one is a CA's": {change: func(p map[string]pki.Own) { p["second"] = own }, node: "second", refuse: "apiservers would refuse it"},
		"one has expired": {
			change: func(p map[string]pki.Own) { delete(p, "first"); delete(nodes, "first") }, at: testTime.Add(2 * time.Hour),
			node: "second", refuse: "certificate has expired",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first, second := nodes["first"], nodes["second"]
			t.Cleanup(func() { nodes["first"], nodes["second"] = first, second })
			provided := map[string]pki.Own{"first": issue(ca, "first"), "second": issue(ca, "second")}
			test.change(provided)
			if test.at.IsZero() {
				test.at = testTime
			}
			want := Settings{ServingSource: Provided, OwnCA: &own, Provided: provided}
			problems := want.CheckProvided(nodes, test.at)
			if test.refuse == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, test.node, problems[0].Node)
			require.ErrorContains(t, problems[0].Err, test.refuse)
		})
	}
}
