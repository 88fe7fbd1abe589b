package acceptance

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gruntwork-io/terratest/modules/terraform"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/leak"
)

// collectKeys takes the keys that are on the nodes now: the CA's, and those that the kubelets serve with and did before.
func (q *quickstart) collectKeys(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, node := range q.open(ctx, t).Nodes() {
		files := []string{imposter.KeyFile, "/etc/kubernetes/kubecomm/baseline" + imposter.KeyFile}
		if node.Role() == cluster.ControlPlane {
			files = append(files, imposter.CAKeyFile)
		}
		for _, path := range files {
			file, err := node.ReadFile(ctx, path)
			if q.ownCA && path == imposter.CAKeyFile {
				require.ErrorIs(t, err, fs.ErrNotExist)
				continue
			}
			require.NoError(t, err)
			key, err := leak.NewKey(node.Name()+":"+path, file.Data)
			require.NoError(t, err)
			require.NotZero(t, key.In(file.Data), "the search doesn't find the key where it is")
			q.keys = append(q.keys, key)
		}
	}
}

func keepsKeysToTheNodes(ctx context.Context, t *testing.T, q *quickstart) {
	t.Helper()
	texts := q.files(t)
	options := quiet(t, q.options)
	options.PlanFilePath = filepath.Join(t.TempDir(), "plan")
	options.ExtraArgs.Plan = []string{"-destroy"} // the plan that holds everything that is known
	texts["a plan in JSON"] = []byte(terraform.InitAndPlanAndShowContext(t, ctx, options))
	q.noKeyIn(t, texts)

	// What has to be in the texts is found in them.
	ca, err := q.open(ctx, t).ControlPlanes()[0].ReadFile(ctx, ownCAFile)
	require.NoError(t, err)
	line := bytes.Split(ca.Data, []byte("\n"))[3]
	state, log := filepath.Join(q.folder(), "terraform.tfstate"), filepath.Join(q.folder(), traceFile)
	assert.True(t, bytes.Contains(texts[state], line), "the CA's certificate, which is public, in the state")
	assert.True(t, bytes.Contains(texts["a plan in JSON"], line), "the CA's certificate in the plan")
	assert.True(t, bytes.Contains(texts[log], []byte("issue a kubelet serving certificate")), "a step in the log")
	assert.True(t, bytes.Contains(texts[log], []byte("put the declared CA for kubelet serving certificates in place")))
}

func (q *quickstart) noKeyIn(t *testing.T, texts map[string][]byte) {
	t.Helper()
	for name, text := range texts {
		for _, key := range q.keys {
			assert.Zero(t, key.In(text), "%s holds the private key %s", name, key)
		}
	}
}

// files returns what the CLI printed and what it left in its folders, except for the provider.
func (q *quickstart) files(t *testing.T) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{"what the CLI printed": []byte(q.printed.String())}
	for _, folder := range q.folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == ".terraform":
				return filepath.SkipDir
			case !entry.IsDir():
				texts[path], err = os.ReadFile(path)
			}
			return err
		})
		require.NoError(t, err)
	}
	return texts
}
