package settings

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachProfileCanWorkAndDemandsNoLessThanTheOneBefore(t *testing.T) {
	require.Empty(t, Effective(Kubeadm, nil))
	baseline, restricted := Effective(Baseline, nil), Effective(Restricted, nil)
	for name, value := range baseline {
		require.Contains(t, restricted, name)
		require.NotEmpty(t, value, name)
	}
	require.Greater(t, len(restricted), len(baseline))
	for _, effective := range []map[string]Value{baseline, restricted} {
		require.Empty(t, Check(effective))
		require.False(t, VersionMatters(effective), "a profile fits every version")
		require.True(t, Of(effective).VerifyKubelets)
	}
}

func TestWhatIsDeclaredCountsMoreThanTheProfile(t *testing.T) {
	declared := map[string]Value{"apiserver.profiling": {"true"}, "kubelet.tls_cipher_suites": {rsa128}}
	effective := Effective(Baseline, declared)
	require.Equal(t, Value{"true"}, effective["apiserver.profiling"])
	require.Equal(t, Value{rsa128}, effective["kubelet.tls_cipher_suites"])
	require.Equal(t, Value{"false"}, effective["scheduler.profiling"])
	require.Equal(t, declared, Effective(Kubeadm, declared))
}

func TestToVerifyKubeletsTakesCertificatesThatCanBeVerified(t *testing.T) {
	alone := Of(Effective(Kubeadm, map[string]Value{NameVerifyKubelets: {"true"}}))
	require.True(t, alone.VerifyKubelets)
	require.Equal(t, DedicatedCA, alone.ServingSource)
	nothing := Of(Effective(Kubeadm, nil))
	require.False(t, nothing.VerifyKubelets)
	require.Empty(t, nothing.ServingSource)
	require.Empty(t, nothing.Flags)
	require.Empty(t, nothing.KubeletFields)
}
