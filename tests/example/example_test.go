package example

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const quickstart = "../../examples/quickstart"

func TestTheCopyIsTheExampleWithAClusterOfItsOwn(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, Copy(quickstart, folder, "mine", "kindest/node:v1.37.1"))
	original, err := os.ReadFile(filepath.Join(quickstart, "main.tf"))
	require.NoError(t, err)
	copied, err := os.ReadFile(filepath.Join(folder, "main.tf"))
	require.NoError(t, err)
	assert.Equal(t, string(original), string(copied))
	variables, err := os.ReadFile(filepath.Join(folder, "terraform.tfvars"))
	require.NoError(t, err)
	assert.Equal(t, "name = \"mine\"\nnode_image = \"kindest/node:v1.37.1\"\n", string(variables))
}

func TestNothingIsCopiedWithoutANodeImageOrAnExample(t *testing.T) {
	folder := t.TempDir()
	require.ErrorContains(t, Copy(quickstart, folder, "mine", ""), "no node image")
	require.ErrorContains(t, Copy(t.TempDir(), folder, "mine", "image"), "no example in")
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, files)
}
