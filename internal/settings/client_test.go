package settings

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACustomIdentityAndItsClusterRoleGoTogether(t *testing.T) {
	tests := map[string]struct {
		declared map[string]Value
		on       string // the setting that is refused; empty if none
	}{
		"neither":          {declared: map[string]Value{}},
		"both":             {declared: map[string]Value{NameKubeletClient: {"custom"}, NameKubeletClientRole: {"streams"}}},
		"no role":          {declared: map[string]Value{NameKubeletClient: {"custom"}}, on: NameKubeletClient},
		"no identity":      {declared: map[string]Value{NameKubeletClientRole: {"streams"}}, on: NameKubeletClientRole},
		"another identity": {declared: map[string]Value{NameKubeletClient: {"kubeadm"}, NameKubeletClientRole: {"streams"}}, on: NameKubeletClientRole},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, profile := range Profiles() {
				problems := CheckTogether(Effective(Profile(profile), test.declared))
				if test.on == "" {
					require.Empty(t, problems, profile)
					continue
				}
				require.Len(t, problems, 1, profile)
				require.Equal(t, test.on, problems[0].Name)
			}
		})
	}
}

func TestFurtherCAsOfKubeletsAreNoneWhereKubeletsAreNotVerified(t *testing.T) {
	cas := map[string]Value{NameKubeletCAs: {certificatePEM(t, true)}}
	require.Empty(t, CheckTogether(Effective(Baseline, cas)))
	problems := CheckTogether(Effective(Kubeadm, cas))
	require.Len(t, problems, 1)
	require.Equal(t, NameKubeletCAs, problems[0].Name)
	require.ErrorContains(t, problems[0].Err, "no effect without verify_kubelets = true")
	require.Equal(t, cas[NameKubeletCAs].String(), Of(Effective(Baseline, cas)).KubeletCAs)
}

func TestWhoApiserversAreIsAmongFewChoices(t *testing.T) {
	require.Len(t, Check(map[string]Value{NameKubeletClient: {"admin"}}), 1)
	require.Len(t, Check(map[string]Value{NameKubeletClientRole: {""}}), 1)
	require.Empty(t, Check(map[string]Value{NameKubeletClient: {"custom"}, NameKubeletClientRole: {"streams"}}))
	declared := Of(Effective(Baseline, nil))
	require.Equal(t, KubeletAPIAdmin, declared.KubeletClient)
	require.Empty(t, Of(Effective(Kubeadm, nil)).KubeletClient)
}
