package image

import (
	"context"
	"os"
	"path/filepath"
)

// assembly changes when the way in which finished pieces are put together does,
// which no file that goes into a key shows.
const assembly = "1"

// nodeKey hashes all that goes into the node image.
func (e *ensurer) nodeKey() (string, error) {
	helper, err := e.helperKey()
	if err != nil {
		return "", err
	}
	parts := []string{assembly, helper, e.version.String(), e.kind.Version, rootKey()}
	if e.version != (Version{}) {
		key, err := kubernetesPart(e.version).key(e.Source, e.compiler)
		if err != nil {
			return "", err
		}
		parts = append(parts, key)
	}
	tree, err := treeHash(filepath.Join(e.Source, "files"))
	if err != nil {
		return "", err
	}
	manifest, err := os.ReadFile(filepath.Join(e.Source, "programs/podnet/manifest.yaml"))
	return Key(append(parts, tree, string(manifest))...), err
}

// helperKey hashes all that goes into the images beside it. They are cheap to
// put together, so they share one.
func (e *ensurer) helperKey() (string, error) {
	compiler, err := e.compilerVersion(context.Background())
	if err != nil {
		return "", err
	}
	parts := []string{assembly, compiler, rootKey()}
	for _, p := range append([]goPart{agnhostPart(e.newest)}, goParts...) {
		key, err := p.key(e.Source, compiler)
		if err != nil {
			return "", err
		}
		parts = append(parts, key)
	}
	own, err := e.ownKey()
	return Key(append(parts, own)...), err
}
