package image

import (
	"context"
	"os"
	"path/filepath"
)

var tofuPart = goPart{name: "opentofu", pkgs: []string{"github.com/opentofu/opentofu/cmd/tofu"}}

// Tofu builds OpenTofu from its module and returns the program's path.
func (b *Builder) Tofu(ctx context.Context) (string, error) {
	dir, err := b.part(ctx, tofuPart)
	return filepath.Join(dir, "tofu"), err
}

// BuiltTofu returns the path of an OpenTofu that was built before, or "".
func (b *Builder) BuiltTofu(ctx context.Context) (string, error) {
	compiler, err := b.compilerVersion(ctx)
	if err != nil {
		return "", err
	}
	key, err := tofuPart.key(b.Source, compiler)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.Cache.Dir, "go-"+tofuPart.name+"-"+key, "tofu")
	if _, err := os.Stat(path); err != nil || !b.Cache.Has("go-"+tofuPart.name, key) {
		return "", nil //nolint:nilerr // not built is not an error
	}
	return path, nil
}
