package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeEngine puts testdata/docker in the place of the engine's client. onRun is a script that says how starting a
// container goes.
func fakeEngine(t *testing.T, onRun string) (engine *Engine, folder string) {
	t.Helper()
	folder = t.TempDir()
	client, err := filepath.Abs("testdata")
	require.NoError(t, err)
	t.Setenv("PATH", client+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("FAKE_ENGINE", folder)
	t.Setenv("KIND_EXPERIMENTAL_PROVIDER", "docker")
	t.Setenv("TMPDIR", filepath.Join(folder, "tmp"))
	t.Setenv("KUBECONFIG", filepath.Join(folder, "users-kubeconfig"))
	for _, name := range []string{"containers", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "on-run"), []byte(onRun), 0o600))
	return NewEngine(), folder
}

// runs says whether the node's container was started.
func runs(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "containers", "dev-control-plane"))
	return err == nil
}

func fileNames(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// A node that starts up for as long as its container is there.
const startsForEver = `while [ -e "containers/$3" ]; do sleep 0.1; done; echo "the container is gone" >&2; exit 1`

func TestCreateThatIsInterruptedTakesItsNodesAwayAtOnce(t *testing.T) {
	engine, folder := fakeEngine(t, startsForEver)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !runs(folder) {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	_, err := engine.Create(ctx, Spec{Name: "dev"}, CreateOptions{})
	var failure *CreateError
	require.ErrorAs(t, err, &failure)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "Preparing nodes", failure.Step)
	assert.Equal(t, "It was interrupted.", failure.Reason())
	assert.False(t, failure.Remains)
	require.NoError(t, failure.CleanUp)
	assert.Less(t, time.Since(start), 10*time.Second)
	assert.Empty(t, fileNames(t, filepath.Join(folder, "containers")))
	assert.Empty(t, fileNames(t, filepath.Join(folder, "tmp")), "temporary kubeconfigs")
	assert.NoFileExists(t, filepath.Join(folder, "users-kubeconfig"))
}

func TestCreateThatTakesTooLongSaysSo(t *testing.T) {
	engine, folder := fakeEngine(t, startsForEver)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := engine.Create(ctx, Spec{Name: "dev"}, CreateOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, fileNames(t, filepath.Join(folder, "containers")))
}

func TestCreateThatFailsShowsTheEnginesWordsAndCleansUp(t *testing.T) {
	engine, folder := fakeEngine(t, `echo "docker: Bind for 0.0.0.0:80 failed: port is already allocated." >&2; exit 125`)
	_, err := engine.Create(t.Context(), Spec{Name: "dev"}, CreateOptions{})
	var failure *CreateError
	require.ErrorAs(t, err, &failure)
	assert.Contains(t, failure.Evidence, "docker: Bind for 0.0.0.0:80 failed: port is already allocated.")
	assert.False(t, failure.Remains)
	assert.Empty(t, fileNames(t, filepath.Join(folder, "containers")))
}

func TestCreateThatFailsKeepsItsNodesIfTold(t *testing.T) {
	engine, folder := fakeEngine(t, "exit 125")
	_, err := engine.Create(t.Context(), Spec{Name: "dev"}, CreateOptions{KeepOnFailure: true})
	var failure *CreateError
	require.ErrorAs(t, err, &failure)
	assert.True(t, failure.Remains)
	assert.Equal(t, []string{"dev-control-plane"}, fileNames(t, filepath.Join(folder, "containers")))
}

func TestCreateLeavesAClusterAloneThatIsThereAlready(t *testing.T) {
	engine, folder := fakeEngine(t, "")
	theirs := filepath.Join(folder, "containers", "dev-control-plane")
	require.NoError(t, os.WriteFile(theirs, nil, 0o600))
	_, err := engine.Create(t.Context(), Spec{Name: "dev"}, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	assert.FileExists(t, theirs)
}

// Somebody else's containers appear after the names were looked at.
func TestCreateLeavesAClusterAloneThatAppearsMeanwhile(t *testing.T) {
	engine, folder := fakeEngine(t, `echo 'docker: Conflict. The container name "/dev-control-plane" is already in use by "ab".' >&2; exit 125`)
	_, err := engine.Create(t.Context(), Spec{Name: "dev"}, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	assert.FileExists(t, filepath.Join(folder, "containers", "dev-control-plane"))
}

func TestCreateLeavesAClusterAloneThatIsBeingCreated(t *testing.T) {
	engine, folder := fakeEngine(t, startsForEver)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := engine.Create(ctx, Spec{Name: "dev"}, CreateOptions{})
		first <- err
	}()
	require.Eventually(t, func() bool { return runs(folder) }, 10*time.Second, 10*time.Millisecond)
	_, err := engine.Create(t.Context(), Spec{Name: "dev"}, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	assert.Len(t, fileNames(t, filepath.Join(folder, "containers")), 1)
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
}

func TestCreateSaysThatTheEngineDoesNotAnswer(t *testing.T) {
	t.Setenv("KIND_EXPERIMENTAL_PROVIDER", "docker")
	t.Setenv("PATH", t.TempDir())
	_, err := NewEngine().Create(t.Context(), Spec{Name: "dev"}, CreateOptions{})
	require.ErrorIs(t, err, ErrEngineUnavailable)
}

func TestDeleteIsDoneWhenThereIsNothingToDelete(t *testing.T) {
	engine, folder := fakeEngine(t, "")
	require.NoError(t, engine.Delete(t.Context(), "dev", ""))
	assert.NoFileExists(t, filepath.Join(folder, "users-kubeconfig"))
	require.ErrorContains(t, engine.Delete(t.Context(), "", ""), "kind would take its default name")
}
