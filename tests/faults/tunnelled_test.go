package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const (
	serverImageVariable = "KUBECOMM_KONNECTIVITY_SERVER_IMAGE"
	agentImageVariable  = "KUBECOMM_KONNECTIVITY_AGENT_IMAGE"
)

// tunnelled is everything, with a tunnel whose images nodes are given from an archive.
func tunnelled(archive string) settings.Settings {
	values := everythingDeclared()
	values[settings.NameTunnelMode] = settings.Value{string(settings.Konnectivity)}
	want := settings.Of(values)
	want.Tunnel.ImageArchives = []string{archive}
	want.Tunnel.Konnectivity.Images.Server = os.Getenv(serverImageVariable)
	want.Tunnel.Konnectivity.Images.Agent = os.Getenv(agentImageVariable)
	return want
}

// tunnelledBySSH is everything, with an SSH tunnel.
func tunnelledBySSH() settings.Settings {
	values := everythingDeclared()
	values[settings.NameTunnelMode] = settings.Value{string(settings.SSH)}
	return settings.Of(values)
}

// saveTunnelImages has the engine write them into an archive.
func (s *suite) saveTunnelImages(t *testing.T) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "konnectivity.tar")
	args := []string{"save", "--output", archive}
	for _, variable := range []string{serverImageVariable, agentImageVariable} {
		require.NotEmpty(t, os.Getenv(variable), "%s isn't set; make faults sets it", variable)
		args = append(args, os.Getenv(variable))
	}
	output, err := exec.CommandContext(s.ctx, "docker", args...).CombinedOutput()
	require.NoError(t, err, string(output))
	return archive
}
