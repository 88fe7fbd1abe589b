package image

import (
	"archive/tar"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryFolders is where Debian's loader looks, by its multiarch names.
var libraryFolders = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
	"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib",
}

// closure collects, below root, programs and all that they need to run: the
// links on the way to them, their loader and their libraries. An image made of
// it is a tenth of the root file system that it comes from, and what is inside
// a node image is copied for every node that starts.
type closure struct {
	root  string
	found map[string]bool // paths below root, links and files
}

// toolsLayer writes the closure of programs (absolute paths below root, which
// may be patterns) as a tar file.
func toolsLayer(root string, programs []string, path string) error {
	c := &closure{root: root, found: map[string]bool{}}
	for _, pattern := range programs {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		if len(matches) == 0 {
			return fmt.Errorf("no %s in the root file system", pattern)
		}
		for _, m := range matches {
			if err := c.add(strings.TrimPrefix(m, root)); err != nil {
				return err
			}
		}
	}
	return c.write(path)
}

// add takes a path in, with the links that lead to it, and if it is an ELF
// file all that it loads.
func (c *closure) add(path string) error {
	final, err := c.resolve(path, 0)
	if err != nil {
		return err
	}
	if c.found[final] {
		return nil
	}
	c.found[final] = true
	f, err := elf.Open(c.root + final)
	if err != nil {
		return nil // a script or data
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return err
			}
			if err := c.add(strings.TrimRight(string(b), "\x00")); err != nil {
				return err
			}
		}
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return nil // statically linked
	}
	for _, name := range needed {
		if err := c.addLibrary(name); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (c *closure) addLibrary(name string) error {
	for _, dir := range libraryFolders {
		if _, err := os.Lstat(c.root + dir + "/" + name); err == nil {
			return c.add(dir + "/" + name)
		}
	}
	return fmt.Errorf("no library %s in the root file system", name)
}

// resolve follows the links in path, inside root, and takes each in.
func (c *closure) resolve(path string, depth int) (string, error) {
	if depth > 40 {
		return "", fmt.Errorf("%s: too many links", path)
	}
	parts := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	at := ""
	for i, part := range parts {
		next := at + "/" + part
		info, err := os.Lstat(c.root + next)
		if err != nil {
			return "", err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(c.root + next)
		if err != nil {
			return "", err
		}
		c.found[next] = true
		if !filepath.IsAbs(target) {
			target = filepath.Join(at+"/", target)
		}
		return c.resolve(filepath.Join(append([]string{target}, parts[i+1:]...)...), depth+1)
	}
	return at, nil
}

func (c *closure) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := tar.NewWriter(f)
	if err := addDir(out, "tmp", 0o1777); err != nil {
		return err
	}
	paths := make([]string, 0, len(c.found))
	for p := range c.found {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		info, err := os.Lstat(c.root + p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, "/")
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(c.root + p)
			if err != nil {
				return err
			}
			if err := addLink(out, name, target); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			if err := addFile(out, name, c.root+p); err != nil {
				return err
			}
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return f.Close()
}
