package controlplane

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func named(t *testing.T, name string) settings.Setting {
	t.Helper()
	table := settings.Declarable()
	i := slices.IndexFunc(table, func(s settings.Setting) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return table[i]
}

func TestAFlagIsComparedByWhatItMeans(t *testing.T) {
	plugins := named(t, "apiserver.admission_plugins")
	modes := named(t, "apiserver.authorization_modes")
	disabled := named(t, "apiserver.disabled_admission_plugins")
	timeout := named(t, "apiserver.request_timeout")

	require.NoError(t, flagged(modes, []string{"Node,RBAC"}, settings.Value{"Node", "RBAC"}))
	require.Error(t, flagged(modes, []string{"AlwaysAllow"}, settings.Value{"Node", "RBAC"}))
	require.NoError(t, flagged(timeout, []string{"60s"}, settings.Value{"1m"}))
	require.Error(t, flagged(timeout, nil, settings.Value{"1m"}))

	require.NoError(t, flagged(plugins, []string{"PodSecurity,NodeRestriction"}, plugins.Baseline), "a demand is met by more than it")
	require.Error(t, flagged(plugins, []string{"PodSecurity"}, plugins.Baseline))
	require.NoError(t, flagged(disabled, nil, disabled.Baseline), "what isn't given has nothing that must not be in it")
	require.Error(t, flagged(disabled, []string{"ServiceAccount"}, disabled.Baseline))
}

func TestAFieldThatIsNotShownIsOffOrZero(t *testing.T) {
	require.NoError(t, configured(named(t, "kubelet.read_only_port"), nil, settings.Value{"0"}))
	require.Error(t, configured(named(t, "kubelet.read_only_port"), float64(10255), settings.Value{"0"}))
	require.NoError(t, configured(named(t, "kubelet.anonymous"), false, settings.Value{"false"}))
	require.Error(t, configured(named(t, "kubelet.rotate_certificates"), nil, settings.Value{"true"}))
	require.NoError(t, configured(named(t, "kubelet.streaming_idle_timeout"), "30m0s", settings.Value{"30m"}))
	require.Error(t, configured(named(t, "kubelet.tls_min_version"), nil, settings.Value{"VersionTLS13"}))
}

func TestAnonymousClientsAreLetInWhereItIsDeclaredAndNowhereElse(t *testing.T) {
	let, refused := answers(nil)
	assert.Len(t, let, 2)
	assert.Equal(t, []expected{{pods, 403, "system:anonymous"}}, refused)

	let, refused = answers(settings.Value{"/livez", "/readyz", "/healthz"})
	assert.Len(t, let, 3)
	assert.Contains(t, refused, expected{joining, 401, "Unauthorized"})
	assert.Contains(t, refused, expected{version, 401, "Unauthorized"})

	_, refused = answers(settings.Value{"/livez", "/readyz", "/healthz", joining})
	assert.NotContains(t, refused, expected{joining, 401, "Unauthorized"})
}

func TestAKubeletsCertificateMustBeOfItsNodeAndOfTheCA(t *testing.T) {
	now := time.Now()
	ca, err := pki.NewCA("test", now)
	require.NoError(t, err)
	other, err := pki.NewCA("other", now)
	require.NoError(t, err)
	serving := other.Certificate // a CA's own subject is nobody's kubelet
	require.ErrorContains(t, checkClient([]*x509.Certificate{serving}, pki.EncodeBundle(ca.Certificate), "worker", now),
		"not of system:node:worker in system:nodes")

	found, err := certificatesIn(append(
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}), pki.EncodeBundle(ca.Certificate)...))
	require.NoError(t, err)
	require.Len(t, found, 1)
	_, err = certificatesIn(nil)
	require.ErrorContains(t, err, "no certificate")
}

func TestAGroupIsBoundToARoleByThatRoleAndItself(t *testing.T) {
	binding := rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{Kind: "ClusterRole", Name: mayAsk},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: joiners}, {Kind: rbacv1.GroupKind, Name: "system:bootstrappers"}},
	}
	assert.False(t, binds(binding, mayAsk))
	binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, Name: joiners})
	assert.True(t, binds(binding, mayAsk))
	assert.False(t, binds(binding, isGranted))
}

func TestAKubeconfigLeadsToASecurePortWithoutCredentials(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	require.NoError(t, err)
	file := func(server string) []byte {
		written, err := clientcmd.Write(api.Config{
			Clusters:  map[string]*api.Cluster{"c": {Server: server, CertificateAuthorityData: pki.EncodeBundle(ca.Certificate)}},
			AuthInfos: map[string]*api.AuthInfo{"u": {Token: "secret"}},
			Contexts:  map[string]*api.Context{"x": {Cluster: "c", AuthInfo: "u"}}, CurrentContext: "x",
		})
		require.NoError(t, err)
		return written
	}
	request, err := requestBy(file("https://control-plane:6443"))
	require.NoError(t, err)
	assert.Equal(t, "https://control-plane:6443/livez", request.URL)
	assert.Empty(t, request.Token)
	assert.NotNil(t, request.TLS.RootCAs)

	_, err = requestBy(file("http://control-plane:8080"))
	require.ErrorContains(t, err, "not one of HTTPS")
	_, err = requestBy([]byte("token: [secret"))
	require.EqualError(t, err, "it can't be read as a kubeconfig")
	_, err = requestBy(nil)
	require.EqualError(t, err, "it has no current context with a cluster and a user")
}
