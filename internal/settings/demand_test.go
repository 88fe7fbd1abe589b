package settings

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADemandIsFilledInWithWhatANodeHad(t *testing.T) {
	const enable, disable = "enable-admission-plugins", "disable-admission-plugins"
	tests := map[string]struct {
		flag           string
		before, filled []string
	}{
		"what is demanded is there, alone":  {enable, []string{"NodeRestriction"}, []string{"NodeRestriction"}},
		"it is there among others":          {enable, []string{"A,NodeRestriction,B"}, []string{"A,NodeRestriction,B"}},
		"it is there in a flag given twice": {enable, []string{"A", "NodeRestriction"}, []string{"A", "NodeRestriction"}},
		"it is missing among others":        {enable, []string{"A,B"}, []string{"A,B,NodeRestriction"}},
		"it is missing with the flag":       {enable, nil, []string{"NodeRestriction"}},
		"it is missing in an empty flag":    {enable, []string{""}, []string{"NodeRestriction"}},
		"what must not be there is not":     {disable, []string{"A"}, []string{"A"}},
		"nothing is there":                  {disable, nil, nil},
		"an empty flag":                     {disable, []string{""}, []string{""}},
		"what must not be there is, among others": {
			disable, []string{"ServiceAccount,A", "NodeRestriction"}, []string{"A"},
		},
		"what must not be there is, alone": {disable, []string{"ServiceAccount"}, nil},
	}
	declared := Of(Effective(Baseline, nil)).Flags[APIServer]
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.filled, FillIn(APIServer, test.flag, test.before, declared[test.flag]))
			require.Equal(t, test.filled, FillIn(APIServer, test.flag, test.filled, declared[test.flag]), "once is enough")
		})
	}
}

func TestWhatIsNoDemandIsNotFilledIn(t *testing.T) {
	before := []string{"A"}
	require.Equal(t, []string{"B"}, FillIn(APIServer, "enable-admission-plugins", before, []string{"B"}))
	require.Equal(t, []string{"+NodeRestriction"}, FillIn(APIServer, "tls-min-version", before, []string{"+NodeRestriction"}))
	require.Equal(t, []string{"+NodeRestriction"}, FillIn(Etcd, "enable-admission-plugins", before, []string{"+NodeRestriction"}))
	require.Equal(t, []string{"-1"}, FillIn(APIServer, "no-flag-of-ours", before, []string{"-1"}))
}

// The profiles demand no less than what a declaration must not lack.
func TestProfilesKeepTheAdmissionPluginsThatPathsRelyOn(t *testing.T) {
	const enable, disable = "apiserver.admission_plugins", "apiserver.disabled_admission_plugins"
	require.Empty(t, Effective(Kubeadm, nil)[enable])
	for _, profile := range []Profile{Baseline, Restricted} {
		effective := Effective(profile, nil)
		require.Equal(t, Value{"+NodeRestriction"}, effective[enable])
		require.Equal(t, Value{"-NodeRestriction", "-ServiceAccount"}, effective[disable])
	}
	own := Effective(Baseline, map[string]Value{enable: {"NodeRestriction", "AlwaysPullImages"}})
	require.Equal(t, Value{"NodeRestriction", "AlwaysPullImages"}, own[enable], "a list that is declared is the list")
	require.Empty(t, Check(own))
	problems := Check(map[string]Value{enable: {"+AlwaysPullImages"}})
	require.Len(t, problems, 1, "users declare lists")
	require.ErrorContains(t, problems[0].Err, `"+AlwaysPullImages" is no admission plugin`)
	require.Contains(t, Describe(enable), "Default: what was there with `NodeRestriction` in profile `baseline`")
	require.Contains(t, Describe(disable), "Default: what was there without `NodeRestriction` and `ServiceAccount` in profile")
}
