package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

// debian plays apt and dpkg, with packages that bring a program and a manual.
type debian struct {
	outOfReach error
	asked      []string
}

func (d *debian) Run(_ context.Context, c command.Cmd) (string, error) {
	d.asked = append(d.asked, c.Args[0])
	switch {
	case c.Args[0] == "apt-get" && d.outOfReach != nil:
		return "", d.outOfReach
	case slices.Contains(c.Args, "--download-only"):
		for _, option := range c.Args {
			if folder, ok := strings.CutPrefix(option, "Dir::Cache::archives="); ok {
				return "", errors.Join(os.WriteFile(filepath.Join(folder, "a.deb"), nil, 0o644), os.WriteFile(filepath.Join(folder, "b.deb"), nil, 0o644))
			}
		}
	case c.Args[0] == "dpkg-deb":
		name, root := filepath.Base(c.Args[2]), c.Args[3]
		for _, path := range []string{"usr/bin/" + name, "usr/share/man/" + name, "usr/lib/x86_64-linux-gnu/gconv/" + name} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(root, path), nil, 0o644); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func TestPythonsLayerHasWhatItsPackagesBringButManuals(t *testing.T) {
	scratch, d := t.TempDir(), &debian{}
	if err := pythonLayer(t.Context(), d, scratch, filepath.Join(scratch, "python.tar")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"apt-get", "apt-get", "dpkg-deb", "dpkg-deb", "tar"}; !slices.Equal(d.asked, want) {
		t.Errorf("ran %v, want %v", d.asked, want)
	}
	found, err := filepath.Glob(filepath.Join(scratch, "root/usr/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], filepath.Join(scratch, "root")+"/")
	}
	if want := []string{"usr/bin/a.deb", "usr/bin/b.deb", "usr/lib/x86_64-linux-gnu"}; !slices.Equal(found, want) {
		t.Errorf("the layer has %v, want %v", found, want)
	}
	if left, _ := filepath.Glob(filepath.Join(scratch, "root/usr/lib/*/*")); len(left) != 0 {
		t.Errorf("the layer has %v", left)
	}
}

func TestPythonsLayerFailsWithWhatAptSaid(t *testing.T) {
	unreachable := errors.New("no mirror answers")
	scratch := t.TempDir()
	if err := pythonLayer(t.Context(), &debian{outOfReach: unreachable}, scratch, filepath.Join(scratch, "python.tar")); !errors.Is(err, unreachable) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyTheImageThatIsThisProgramsOwnIsAskedOfNoRegistry(t *testing.T) {
	for ref, local := range map[string]bool{
		PythonImage: true, AgnhostImage: false, "kindest/node:v1.37.1": false, kubectlImage(Version{1, 37, 1}): false,
	} {
		if got := (wanted{refs: []string{ref}}).local(); got != local {
			t.Errorf("%s: local %v", ref, got)
		}
	}
}
