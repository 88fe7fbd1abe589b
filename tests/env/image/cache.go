package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Cache is a folder of finished pieces. A piece is a folder named after what it
// is and a hash of all that went into it; it is built under another name and
// renamed when it is whole, so a build that was killed, or that filled the
// disk, leaves nothing that a later run takes for finished.
type Cache struct{ Dir string }

const (
	buildPrefix = ".building-"
	sizesFile   = ".complete.json"
)

// Key hashes what goes into a piece.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Piece returns the folder of a finished piece, building it if it is not there
// or not whole. Two runs must not build a piece at once: see Lock.
func (c Cache) Piece(ctx context.Context, name, key string, build func(ctx context.Context, dir string) error) (dir string, built bool, err error) {
	dir = filepath.Join(c.Dir, name+"-"+key)
	if whole(dir) {
		return dir, false, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", false, err
	}
	temporary, remove, err := c.Scratch(name)
	if err != nil {
		return "", false, err
	}
	if err := build(ctx, temporary); err != nil {
		remove() // gives back the space of a disk that is full
		return "", false, err
	}
	if err := seal(temporary); err != nil {
		return "", false, err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return "", false, err
	}
	c.dropOlder(name, dir)
	return dir, true, nil
}

// Has reports whether a piece is there and whole.
func (c Cache) Has(name, key string) bool {
	return whole(filepath.Join(c.Dir, name+"-"+key))
}

// Scratch returns an empty folder for work whose lock is held, and removes what
// is in it from work that was killed.
func (c Cache) Scratch(name string) (dir string, remove func(), err error) {
	dir = filepath.Join(c.Dir, buildPrefix+name)
	if err := os.RemoveAll(dir); err != nil {
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir) }, os.MkdirAll(dir, 0o755)
}

// dropOlder removes the pieces that dir replaces.
func (c Cache) dropOlder(name, dir string) {
	entries, _ := os.ReadDir(c.Dir)
	for _, e := range entries {
		prefix, _, ok := cutLast(e.Name(), "-")
		if ok && prefix == name && filepath.Join(c.Dir, e.Name()) != dir {
			os.RemoveAll(filepath.Join(c.Dir, e.Name()))
		}
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// seal writes down every file's size. It is compared later: a file that lost
// its end in a crash of the machine has its name already.
func seal(dir string) error {
	sizes, err := measure(dir)
	if err != nil {
		return err
	}
	b, err := json.Marshal(sizes)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sizesFile), b, 0o644)
}

func whole(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, sizesFile))
	if err != nil {
		return false
	}
	var want map[string]int64
	if json.Unmarshal(b, &want) != nil {
		return false
	}
	got, err := measure(dir)
	return err == nil && maps.Equal(want, got)
}

func measure(dir string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == sizesFile {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		sizes[rel] = info.Size()
		return err
	})
	return sizes, err
}

// treeHash hashes the files below dirs, names and content; tests do not count.
func treeHash(dirs ...string) (string, error) {
	h := sha256.New()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(p, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s %d\n", rel, info.Size())
			_, err = io.Copy(h, f)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
