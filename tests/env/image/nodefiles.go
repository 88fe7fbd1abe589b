package image

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// nodeFiles writes a node's file system as a tar stream.
type nodeFiles struct {
	source   string
	pieces   pieces
	version  Version
	kindDir  string
	manifest string
}

// file is one file to be put on top of the root file system: a copy of another
// file, or content.
type file struct {
	from    string
	content []byte
	mode    int64
}

func (n nodeFiles) write(w io.Writer) error {
	files, err := n.overlay()
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	// Docker refuses an archive that has a path twice.
	if err := copyTar(out, filepath.Join(n.pieces.root, rootTar), func(name string) bool { _, ok := files[name]; return ok }); err != nil {
		return err
	}
	if err := addDir(out, "etc/kubernetes/kubelet.conf.d", 0o755); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		f := files[name]
		if f.from == "" {
			err = addBytes(out, name, f.content, f.mode)
		} else {
			err = addFile(out, name, f.from)
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// overlay collects the files, by their path in the node.
func (n nodeFiles) overlay() (map[string]file, error) {
	files := map[string]file{}
	for _, tree := range []string{filepath.Join(n.kindDir, "images/base/files"), filepath.Join(n.source, "files")} {
		if err := collect(files, tree); err != nil {
			return nil, err
		}
	}
	for _, p := range []struct {
		from, to string
		names    []string
	}{
		{n.pieces.parts[kubernetesPart(n.version).name], "usr/bin", []string{"kubeadm", "kubelet", "kubectl"}},
		{n.pieces.parts["containerd"], "usr/local/bin", []string{"containerd", "containerd-shim-runc-v2", "ctr"}},
		{n.pieces.parts["crictl"], "usr/local/bin", []string{"crictl"}},
		{n.pieces.parts["cni-plugins"], "opt/cni/bin", []string{"ptp", "loopback", "host-local", "portmap"}},
	} {
		for _, name := range p.names {
			files[p.to+"/"+name] = file{from: filepath.Join(p.from, name)}
		}
	}
	text := func(s string) file { return file{content: []byte(s), mode: 0o644} }
	files["kind/version"] = text(n.version.String())
	files["kind/manifests/default-cni.yaml"] = text(strings.ReplaceAll(n.manifest, "PODNET_IMAGE", podnetImage))
	// The folder is filled by files/usr/local/lib/kubecomm/node.sh.
	kubelet := strings.TrimRight(string(files["etc/default/kubelet"].content), "\n")
	files["etc/default/kubelet"] = text(kubelet + " --config-dir=/etc/kubernetes/kubelet.conf.d\n")
	return files, nil
}

// collect takes in the files below dir, with the modes that kind's Dockerfile
// gives its own.
func collect(files map[string]file, dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		f := file{mode: 0o644}
		if strings.HasPrefix(name, "usr/local/") || strings.HasPrefix(name, "kind/bin/") {
			f.mode = 0o755
		}
		f.content, err = os.ReadFile(p)
		files[filepath.ToSlash(name)] = f
		return err
	})
}

// copyTar copies the entries of a tar file but those that skip names.
func copyTar(out *tar.Writer, file string, skip func(name string) bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if skip(path.Clean(h.Name)) {
			continue
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
