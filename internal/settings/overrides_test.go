package settings

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	floorName  = "kubelet.tls_min_version"
	suitesName = "kubelet.tls_cipher_suites"
)

func TestANodeHasItsOwnValuesAndTheRestAsForAll(t *testing.T) {
	effective := Effective(Restricted, nil)
	require.Equal(t, Value{tls13}, effective[floorName])
	overrides := Overrides{"dev-worker": {floorName: {tls12}, suitesName: {rsa128}}, "dev-worker2": {}}
	got := Of(effective)
	forAll := Of(effective)
	got.Override(overrides)
	require.Equal(t, forAll.KubeletFields, got.KubeletFields, "what is for all stays")
	require.Equal(t, map[string]map[string]any{
		"dev-worker": {"tlsMinVersion": tls12, "tlsCipherSuites": []string{rsa128}},
	}, got.NodeKubeletFields)

	own := got.KubeletFieldsOn("dev-worker")
	require.Equal(t, tls12, own["tlsMinVersion"])
	require.Equal(t, forAll.KubeletFields["authorization.mode"], own["authorization.mode"])
	require.Len(t, own, len(forAll.KubeletFields)+1)
	for _, node := range []string{"dev-worker2", "dev-control-plane"} {
		require.Equal(t, forAll.KubeletFields, got.KubeletFieldsOn(node))
	}
	require.Equal(t, tls13, got.KubeletFields["tlsMinVersion"], "to look at a node changes nothing")
}

func TestANodeHasItsOwnFilesInPlaceOfThoseForAll(t *testing.T) {
	forAll, own := certificatePEM(t, true), certificatePEM(t, true)
	got := Of(map[string]Value{NameKubeletClientCA: {forAll}})
	got.Override(Overrides{"dev-worker": {NameKubeletClientCA: {own}}, "dev-worker2": {floorName: {tls12}}})
	require.Equal(t, own, string(got.KubeletDocumentsOn("dev-worker")[KubeletClientCAField].Data))
	for _, node := range []string{"dev-worker2", "dev-control-plane"} {
		require.Equal(t, forAll, string(got.KubeletDocumentsOn(node)[KubeletClientCAField].Data))
	}
	require.Empty(t, got.KubeletFields, "the file's name isn't known here")
	require.Contains(t, ManagedKubeletFields(), KubeletClientCAField)
	require.Empty(t, Of(nil).KubeletDocumentsOn("dev-worker"))
}

func TestEverySettingOfKubeletsConfigurationCanBeANodesOwn(t *testing.T) {
	var names []string
	for _, setting := range PerNode() {
		names = append(names, setting.Name)
		require.NotContains(t, setting.Attribute(), ".", "effective's keys end with the attribute")
		require.Contains(t, DescribeOnNode(setting), "in place of `"+setting.Name+"`")
	}
	for _, setting := range Managed() {
		require.Equal(t, strings.HasPrefix(setting.Name, "kubelet."), slices.Contains(names, setting.Name), setting.Name)
	}
}

func TestWhatCannotWorkOnANodeIsRefusedThere(t *testing.T) {
	suites := map[string]Value{floorName: {tls12}, suitesName: {rsa128}}
	floor := map[string]Value{floorName: {tls13}}
	tests := map[string]struct {
		forAll map[string]Value
		own    map[string]Value
		name   string // of the setting that is to blame
		refuse string
	}{
		"nothing": {},
		"a floor where there are no suites": {
			forAll: map[string]Value{floorName: {tls12}}, own: floor,
		},
		"suites and a floor that allows them, where the one for all does not": {
			forAll: floor, own: suites,
		},
		"suites of its own that the floor for all leaves without effect": {
			forAll: floor, own: map[string]Value{suitesName: {rsa128}},
			name: suitesName, refuse: `with tls_min_version = "VersionTLS13" the list would be ignored`,
		},
		"a floor of its own that leaves the suites for all without effect": {
			forAll: suites, own: floor,
			name: suitesName, refuse: "the node has what is declared for all, " + rsa128 + ": with tls_min_version",
		},
		"a floor of its own that isn't known yet, in place of one for all that would not do": {
			forAll: floor, own: map[string]Value{floorName: nil, suitesName: {rsa128}},
		},
		"a value that no node may have": {
			own: map[string]Value{"kubelet.anonymous": {"true"}}, name: "kubelet.anonymous", refuse: "true is not allowed",
		},
		"what is wrong for all, which is told there": {
			forAll: map[string]Value{suitesName: {}}, own: map[string]Value{floorName: {tls12}},
		},
		"what is wrong for all, and the node has it too": {
			forAll: map[string]Value{suitesName: {}}, own: map[string]Value{suitesName: {}},
			name: suitesName, refuse: "the list is empty",
		},
		"what is wrong for all, and right on the node": {
			forAll: map[string]Value{suitesName: {}}, own: map[string]Value{suitesName: {rsa128}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := Overrides{"dev-worker": test.own, "dev-worker2": {}}.Check(test.forAll)
			if test.refuse == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, "dev-worker", problems[0].Node)
			require.Equal(t, test.name, problems[0].Name)
			require.ErrorContains(t, problems[0].Err, test.refuse)
		})
	}
}

func TestWhatAVersionLacksIsRefusedOnTheNodesThatAreToHaveIt(t *testing.T) {
	curves := Overrides{"dev-worker": {"kubelet.tls_curve_preferences": {"X25519"}}, "dev-worker2": {floorName: {tls12}}}
	require.True(t, curves.VersionMatters())
	require.False(t, Overrides{"dev-worker2": {floorName: {tls12}}}.VersionMatters())
	require.Empty(t, curves.CheckVersion(36))
	problems := curves.CheckVersion(35)
	require.Len(t, problems, 1)
	require.Equal(t, "dev-worker", problems[0].Node)
	require.ErrorContains(t, problems[0].Err, "the cluster runs Kubernetes 1.35, and 1.36 is the first")
}

func TestNothingIsAssumedInPlaceOfAValueThatIsNotKnownYet(t *testing.T) {
	declared := map[string]Value{floorName: nil, suitesName: {rsa128}}
	effective := Effective(Restricted, declared)
	require.NotContains(t, effective, floorName)
	require.Empty(t, Check(effective))
	delete(declared, floorName)
	require.Len(t, Check(Effective(Restricted, declared)), 1, "left out, it is as the profile says")
}
