package browser

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// install puts a browser of the test's own in the place of all others.
func install(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir)
	return path
}

func TestABrowserIsFoundByAnyOfItsNames(t *testing.T) {
	for _, name := range names {
		want := install(t, name, "")
		got, err := Find()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestWhatWasLookedForIsSaidWhereThereIsNoBrowser(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Find()
	require.ErrorContains(t, err, "none of chromium, ")
	_, err = Open(context.Background(), "http://127.0.0.1/")
	require.ErrorContains(t, err, "none of chromium, ")
}

func TestAPageIsWhatTheBrowserPrints(t *testing.T) {
	install(t, "chromium", `for last; do :; done; echo "<p>$last</p>"`)
	text, err := Open(t.Context(), "http://127.0.0.1/page")
	require.NoError(t, err)
	assert.Equal(t, "<p>http://127.0.0.1/page</p>", text)
}

func TestABrowserThatFailsIsQuoted(t *testing.T) {
	path := install(t, "chromium", "echo no display >&2; exit 3")
	_, err := Open(t.Context(), "http://127.0.0.1/page")
	require.EqualError(t, err, path+" http://127.0.0.1/page: exit status 3: no display")
}
