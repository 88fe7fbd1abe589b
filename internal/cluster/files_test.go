package cluster

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesAreReadTogetherAsTheyAre(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	contents := map[string]string{"text": "a\nb\n", "empty": "", "binary": "\x00\n600 3\nabc", "no newline": "x"}
	paths := []string{filepath.Join(folder, "missing")}
	for name, content := range contents {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o640))
		paths = append(paths, path, filepath.Join(folder, "missing "+name))
	}
	output, err := exec.CommandContext(t.Context(), "sh", append([]string{"-c", readScript, "sh"}, paths...)...).Output()
	require.NoError(t, err)
	files, err := parseFiles(output, paths)
	require.NoError(t, err)
	require.Len(t, files, len(contents))
	for name, content := range contents {
		require.Equal(t, File{Data: []byte(content), Mode: 0o640}, files[filepath.Join(folder, name)], name)
	}

	for _, cut := range []string{"", "640 5\na\n", "640"} {
		_, err = parseFiles([]byte(cut), []string{"/a"})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, cut)
	}
	_, err = parseFiles([]byte("-----BEGIN\nkey"), []string{"/a"})
	require.EqualError(t, err, "/a: its permissions and size came back otherwise than expected")
	require.NotErrorIs(t, err, fs.ErrNotExist)
}
