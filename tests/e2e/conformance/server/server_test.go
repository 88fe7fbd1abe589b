package server

import (
	"crypto/tls"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func TestTheFloorIsWhatIsDeclaredAndTLS12Otherwise(t *testing.T) {
	for profile, want := range map[string]uint16{"kubeadm": tls.VersionTLS11, "restricted": tls.VersionTLS12} {
		expect, err := suite.Expect(profile, "none", nil)
		require.NoError(t, err)
		assert.Equal(t, want, refusedFrom(expect, "kubelet.tls_min_version"), profile)
	}
}

func TestEveryRightIsAskedForButWildcards(t *testing.T) {
	asked := reviews([]rbacv1.PolicyRule{suite.Reads("nodes/metrics", "nodes"), suite.ReadsPaths("/metrics", "/debug/pprof/*")})
	require.Len(t, asked, 3)
	assert.Equal(t, "metrics", asked[0].ResourceAttributes.Subresource)
	assert.Equal(t, "nodes", asked[1].ResourceAttributes.Resource)
	assert.Empty(t, asked[1].ResourceAttributes.Subresource)
	assert.Equal(t, "/metrics", asked[2].NonResourceAttributes.Path)
}
