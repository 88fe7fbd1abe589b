package apply

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesThatAreAsTheyWereArePutBackByLeavingThemAlone(t *testing.T) {
	folder, base := t.TempDir(), t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	save := func(names ...string) {
		args := []string{"-c", saveScript + `save "$@"`, "sh", base, ".missing"}
		require.NoError(t, exec.CommandContext(t.Context(), "sh", append(args, names...)...).Run())
	}
	for _, name := range []string{"same", "edited", "opened"} {
		require.NoError(t, os.WriteFile(file(name), []byte("before"), 0o600))
	}
	all := []string{file("same"), file("edited"), file("opened"), file("new")}
	save(all...)
	same, err := os.Stat(file("same"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("edited"), []byte("after"), 0o600))
	require.NoError(t, os.Chmod(file("opened"), 0o644))
	require.NoError(t, os.WriteFile(file("new"), []byte("after"), 0o600))

	args := append([]string{"-c", restoreScript, "sh", base, ".missing"}, all...)
	output, err := exec.CommandContext(t.Context(), "sh", args...).CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, name := range []string{"same", "edited", "opened"} {
		content, err := os.ReadFile(file(name))
		require.NoError(t, err)
		require.Equal(t, "before", string(content), name)
		found, err := os.Stat(file(name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), found.Mode(), name)
		require.Equal(t, name == "same", os.SameFile(same, found), name)
	}
	require.NoFileExists(t, file("new"))
	require.NoFileExists(t, file(".kubecomm.restored"))
}
