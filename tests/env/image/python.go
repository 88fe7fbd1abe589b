package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// PythonImage has Python and Kubernetes' client library. No registry has one
// that upstream vouches for.
const PythonImage = "localhost/kubecomm/python-kubernetes:1"

// pythonRecipe changes when buildPython does.
const pythonRecipe = "1"

// pythonPackage is Debian's of the library; it brings Python with it.
const pythonPackage = "python3-kubernetes"

// pythonNeedless is what Debian's packages bring for people, in patterns.
var pythonNeedless = []string{
	"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl5", "usr/lib/*/gconv",
}

// pythonKey is not the helpers' key, which goes into the node image's: a change
// here must not have nodes put together anew.
func (e *ensurer) pythonKey() (string, error) {
	return Key(append([]string{assembly, pythonRecipe, pythonPackage}, pythonNeedless...)...), nil
}

func (e *ensurer) buildPython(ctx context.Context, scratch, ref, key string) error {
	layer := filepath.Join(scratch, "python.tar")
	if err := pythonLayer(ctx, e.Runner, scratch, layer); err != nil {
		return &report.Problem{
			Attempted: "to make a layer of Debian's " + pythonPackage,
			Remedy:    "make sure that Debian packages can be downloaded, then run this again",
			Err:       err,
		}
	}
	return load(ctx, e.Runner, runtime.GOARCH, []Spec{{
		Ref: ref, Entrypoint: []string{"/usr/bin/python3"}, Env: []string{searchPath}, Layers: []string{layer},
		Labels: map[string]string{recipeLabel: key},
	}})
}

// pythonLayer unpacks the package and all that it depends on. Nothing is set up:
// Python needs no more than its files, and debootstrap, which sets up, can't
// resolve the virtual packages that the library's own depend on.
func pythonLayer(ctx context.Context, r command.Runner, scratch, layer string) error {
	packages, root := filepath.Join(scratch, "packages"), filepath.Join(scratch, "root")
	for _, dir := range []string{filepath.Join(packages, "partial"), root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// With it, apt takes no package of this machine's for one that the image has.
	none := filepath.Join(scratch, "none-installed")
	if err := os.WriteFile(none, nil, 0o644); err != nil {
		return err
	}
	// The lists of a machine that has all that it needs may be of any age.
	_, updated := r.Run(ctx, command.Cmd{Args: []string{"apt-get", "update", "-qq"}})
	if _, err := r.Run(ctx, command.Cmd{Args: []string{
		"apt-get", "install", "--download-only", "-y", "-qq", "--no-install-recommends",
		"-o", "Dir::State::status=" + none, "-o", "Dir::Cache::archives=" + packages,
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", pythonPackage,
	}}); err != nil {
		return errors.Join(err, updated)
	}
	archives, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := r.Run(ctx, command.Cmd{Args: []string{"dpkg-deb", "--extract", archive, root}}); err != nil {
			return err
		}
	}
	if err := removeAll(root, pythonNeedless); err != nil {
		return err
	}
	_, err = r.Run(ctx, command.Cmd{Args: []string{"tar", "--numeric-owner", "--format=pax", "-C", root, "-cf", layer, "."}})
	return err
}
