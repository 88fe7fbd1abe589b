package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAReferenceIsTakenApartIntoNameTagAndDigest(t *testing.T) {
	for ref, want := range map[string][3]string{
		"kindest/node:v1.37.0@sha256:ab":   {"kindest/node", "v1.37.0", "sha256:ab"},
		"kindest/node:v1.35.4":             {"kindest/node", "v1.35.4", ""},
		"localhost:5000/node":              {"localhost:5000/node", "", ""},
		"localhost:5000/node:v1@sha256:cd": {"localhost:5000/node", "v1", "sha256:cd"},
	} {
		name, tag, digest := SplitRef(ref)
		if got := [3]string{name, tag, digest}; got != want {
			t.Errorf("%s: got %q, want %q", ref, got, want)
		}
	}
}

func TestTheRegistryOfAReferenceIsDockersUnlessAHostIsNamed(t *testing.T) {
	for ref, want := range map[string]string{
		"kindest/node:v1":               "docker.io",
		"docker.io/envoyproxy/envoy:v1": "docker.io",
		"registry.k8s.io/pause:3.10":    "registry.k8s.io",
		"localhost/kubecomm/podnet:1":   "localhost",
		"host:5000/x":                   "host:5000",
		"debian":                        "docker.io",
	} {
		if got := registry(ref); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
}

func TestAVersionIsReadAndWrittenTheSame(t *testing.T) {
	v, err := ParseVersion("v1.37.1")
	if err != nil || v != (Version{1, 37, 1}) || v.String() != "v1.37.1" || v.Minor() != "1.37" {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, bad := range []string{"1.37.1", "v1.37", "v1.37.1-rc.0", "", "latest"} {
		if _, err := ParseVersion(bad); err == nil {
			t.Errorf("%q was taken for a version", bad)
		}
	}
}

// sourceWith makes a folder whose sources/ pins versions.
func sourceWith(t *testing.T, versions ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, v := range versions {
		parsed, err := ParseVersion(v)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "sources", "kubernetes-"+parsed.Minor(), "go.mod"),
			"module x\n\nrequire (\n\tgithub.com/a/b v1.0.0\n\tk8s.io/kubernetes "+v+"\n)\n")
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhichNodeImagesWillDo(t *testing.T) {
	kind := t.TempDir()
	write(t, filepath.Join(kind, defaultNodeFile), "package defaults\n\nconst Image = \"kindest/node:v1.37.0@sha256:aa\"\n")
	source := sourceWith(t, "v1.36.3", "v1.37.1", "v1.9.0")
	for name, c := range map[string]struct {
		asked string
		refs  []string
		v     Version
	}{
		"kind's default, or the newest patch level of it that can be built": {"", []string{"kindest/node:v1.37.0@sha256:aa", "kindest/node:v1.37.1"}, Version{1, 37, 1}},
		"a version that can be built":                                       {"kindest/node:v1.36.3", []string{"kindest/node:v1.36.3"}, Version{1, 36, 3}},
		"one with a digest, or the same version without":                    {"kindest/node:v1.36.3@sha256:bb", []string{"kindest/node:v1.36.3@sha256:bb", "kindest/node:v1.36.3"}, Version{1, 36, 3}},
		"another patch level, which can not be built":                       {"kindest/node:v1.36.2", []string{"kindest/node:v1.36.2"}, Version{}},
		"somebody's own": {"example/node:dev", []string{"example/node:dev"}, Version{}},
	} {
		o := Options{Builder: &Builder{Source: source}, Node: c.asked}
		refs, v, newest, err := o.nodeRefs(kind)
		if err != nil || !slices.Equal(refs, c.refs) || v != c.v || newest != (Version{1, 37, 1}) {
			t.Errorf("%s: got %q, %v, newest %v, error %v", name, refs, v, newest, err)
		}
	}
}

func TestThePinnedVersionsAreTheOnesThatThisProgramPromises(t *testing.T) {
	found, err := Buildable("..")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, Version.Compare)
	var got []string
	for _, v := range found {
		got = append(got, v.String())
	}
	if want := []string{"v1.34.4", "v1.35.4", "v1.36.3", "v1.37.1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAPieceIsBuiltOnceAndAgainOnlyWhenItsKeyChanges(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	builds := 0
	build := func(_ context.Context, dir string) error {
		builds++
		return os.WriteFile(filepath.Join(dir, "program"), []byte("content"), 0o755)
	}
	for _, key := range []string{"a", "a", "b", "b"} {
		dir, _, err := c.Piece(t.Context(), "go-x", key, build)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "program")); err != nil {
			t.Error(err)
		}
	}
	if builds != 2 {
		t.Errorf("built %d times, want 2", builds)
	}
	if c.Has("go-x", "a") {
		t.Error("the piece that was replaced is still there")
	}
}

func TestAPieceThatFailedLeavesNothingThatLooksFinished(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	full := errors.New("no space left on device")
	_, _, err := c.Piece(t.Context(), "x", "k", func(_ context.Context, dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), []byte("con"), 0o644), full)
	})
	if !errors.Is(err, full) || c.Has("x", "k") {
		t.Errorf("error %v, there: %v", err, c.Has("x", "k"))
	}
	entries, _ := os.ReadDir(c.Dir)
	if len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestWhatAKilledBuildLeftIsNotTakenIntoTheNextOne(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	write(t, filepath.Join(c.Dir, buildPrefix+"x", "half"), "con")
	dir, built, err := c.Piece(t.Context(), "x", "k", func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "whole"), []byte("content"), 0o644)
	})
	if err != nil || !built {
		t.Fatalf("built %v, error %v", built, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the half file is in the finished piece")
	}
}

func TestAPieceWithAShortenedOrMissingFileIsBuiltAgain(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"shortened": func(p string) error { return os.Truncate(p, 3) },
		"missing":   os.Remove,
	} {
		c := Cache{Dir: t.TempDir()}
		build := func(_ context.Context, dir string) error {
			return os.WriteFile(filepath.Join(dir, "program"), []byte("content"), 0o755)
		}
		dir, _, err := c.Piece(t.Context(), "x", "k", build)
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(dir, "program")); err != nil {
			t.Fatal(err)
		}
		if c.Has("x", "k") {
			t.Errorf("%s: taken for whole", name)
		}
		if _, built, err := c.Piece(t.Context(), "x", "k", build); err != nil || !built {
			t.Errorf("%s: built %v, error %v", name, built, err)
		}
	}
}

func TestReplacingAPieceKeepsOthersWhoseNamesBeginTheSame(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	build := func(context.Context, string) error { return nil }
	for _, p := range [][2]string{{"go-kubernetes-1.36", "k"}, {"go-kubernetes-1.37", "k"}, {"go", "k"}, {"go-kubernetes-1.37", "l"}} {
		if _, _, err := c.Piece(t.Context(), p[0], p[1], build); err != nil {
			t.Fatal(err)
		}
	}
	if !c.Has("go-kubernetes-1.36", "k") || !c.Has("go", "k") || c.Has("go-kubernetes-1.37", "k") {
		t.Error("the wrong piece was dropped")
	}
}

func TestAKeyTellsApartPartsThatReadTheSameJoined(t *testing.T) {
	if Key("ab", "c") == Key("a", "bc") || Key("a") == Key("a", "") {
		t.Error("different parts have the same key")
	}
}

func TestTheHashOfATreeFollowsItsFilesButNotItsTests(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.go"), "package a")
	hash := func() string {
		t.Helper()
		h, err := treeHash(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := hash()
	write(t, filepath.Join(dir, "a_test.go"), "package a")
	if hash() != first {
		t.Error("a test changed the hash")
	}
	write(t, filepath.Join(dir, "a.go"), "package b")
	if hash() == first {
		t.Error("a changed file did not change the hash")
	}
}

func TestAnArchiveNamesItsImagesAndSharesTheirLayers(t *testing.T) {
	dir := t.TempDir()
	base, own := filepath.Join(dir, "base.tar"), filepath.Join(dir, "own.tar")
	write(t, filepath.Join(dir, "f"), "content")
	for _, p := range []string{base, own} {
		if err := writeLayer(p, map[string]string{filepath.Base(p): filepath.Join(dir, "f")}); err != nil {
			t.Fatal(err)
		}
	}
	var archive bytes.Buffer
	err := WriteArchive(&archive, "amd64", []Spec{
		{Ref: "x/a:1", Layers: []string{base, own}, Entrypoint: []string{"/a"}, Labels: map[string]string{"k": "v"}},
		{Ref: "x/b:1", Layers: []string{base}},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(&archive); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[h.Name]; twice {
			t.Errorf("%s is written twice", h.Name)
		}
		files[h.Name], _ = io.ReadAll(in)
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 2 || manifest[0].RepoTags[0] != "x/a:1" || len(manifest[0].Layers) != 2 || manifest[0].Layers[0] != manifest[1].Layers[0] {
		t.Fatalf("manifest: %+v", manifest)
	}
	var config imageConfig
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	sum, err := digest(base)
	if err != nil {
		t.Fatal(err)
	}
	if config.RootFS.DiffIDs[0] != "sha256:"+sum || config.Config.Labels["k"] != "v" || config.OS != "linux" {
		t.Errorf("configuration: %+v", config)
	}
}

func TestAFailedWriterIsReportedNotTheReaderThatItStarved(t *testing.T) {
	broken := errors.New("layer is gone")
	err := stream(func(io.Writer) error { return broken }, func(r io.Reader) error {
		_, err := io.ReadAll(r)
		return err
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	refused := errors.New("refused")
	err = stream(func(w io.Writer) error {
		_, err := w.Write([]byte("x"))
		return err
	}, func(io.Reader) error { return refused })
	if !errors.Is(err, refused) || errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestAClosureFollowsLinksInsideItsRoot(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/bin/tool-2", "#!/bin/sh\n")
	write(t, root+"/etc/keep", "x")
	for link, target := range map[string]string{
		"/bin":               "usr/bin",
		"/usr/bin/tool":      "/etc/alternatives/tool",
		"/etc/alternatives/": "",
	} {
		if strings.HasSuffix(link, "/") {
			if err := os.MkdirAll(root+link, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.Symlink(target, root+link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(root+"/etc/alternatives", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/bin/tool-2", root+"/etc/alternatives/tool"); err != nil {
		t.Fatal(err)
	}
	c := &closure{root: root, found: map[string]bool{}}
	if err := c.add("/bin/tool"); err != nil {
		t.Fatal(err)
	}
	if got, want := sortedKeys(c.found), []string{"/bin", "/etc/alternatives/tool", "/usr/bin/tool", "/usr/bin/tool-2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	err := toolsLayer(t.TempDir(), []string{"/usr/sbin/nft"}, filepath.Join(t.TempDir(), "x.tar"))
	if err == nil || err.Error() != "no /usr/sbin/nft in the root file system" {
		t.Errorf("got %v", err)
	}
}
