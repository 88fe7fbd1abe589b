package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheNodeScriptIsOneThatBashReads(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	if out, err := exec.CommandContext(t.Context(), bash, "-n", "../files/usr/local/lib/kubecomm/node.sh").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// nodeWith makes the pieces of a node image out of small files.
func nodeWith(t *testing.T) nodeFiles {
	t.Helper()
	dir := t.TempDir()
	n := nodeFiles{
		source: filepath.Join(dir, "source"), kindDir: filepath.Join(dir, "kind"), version: Version{1, 37, 1},
		manifest: "image: PODNET_IMAGE\n",
		pieces:   pieces{root: filepath.Join(dir, "root"), parts: map[string]string{}},
	}
	base := filepath.Join(n.kindDir, "images/base/files")
	write(t, filepath.Join(base, "etc/default/kubelet"), "KUBELET_EXTRA_ARGS=--kinds-own\n")
	write(t, filepath.Join(base, "usr/local/bin/entrypoint"), "#!/bin/bash\n")
	write(t, filepath.Join(n.source, "files/etc/systemd/system/kubecomm-node.service"), "[Unit]\n")
	for part, programs := range map[string][]string{
		"kubernetes-1.37": {"kubeadm", "kubelet", "kubectl"},
		"containerd":      {"containerd", "containerd-shim-runc-v2", "ctr"},
		"crictl":          {"crictl"},
		"cni-plugins":     {"ptp", "loopback", "host-local", "portmap"},
	} {
		n.pieces.parts[part] = filepath.Join(dir, part)
		for _, p := range programs {
			write(t, filepath.Join(dir, part, p), p)
		}
	}
	write(t, filepath.Join(dir, "old"), "Debian's")
	root := filepath.Join(n.pieces.root, rootTar)
	write(t, root, "")
	if err := writeLayer(root, map[string]string{"./etc/default/kubelet": filepath.Join(dir, "old"), "./etc/hostname": filepath.Join(dir, "old")}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestANodesFileSystemHasEachPathOnceAndTheTopmostContent(t *testing.T) {
	var archive bytes.Buffer
	if err := nodeWith(t).write(&archive); err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	modes := map[string]int64{}
	for in := tar.NewReader(&archive); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if _, twice := content[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		b, _ := io.ReadAll(in)
		content[name], modes[name] = string(b), h.Mode
	}
	for name, want := range map[string]string{
		"etc/hostname":                             "Debian's",
		"etc/default/kubelet":                      "KUBELET_EXTRA_ARGS=--kinds-own --config-dir=/etc/kubernetes/kubelet.conf.d\n",
		"kind/version":                             "v1.37.1",
		"kind/manifests/default-cni.yaml":          "image: " + podnetImage + "\n",
		"usr/bin/kubelet":                          "kubelet",
		"opt/cni/bin/ptp":                          "ptp",
		"etc/systemd/system/kubecomm-node.service": "[Unit]\n",
	} {
		if content[name] != want {
			t.Errorf("%s: got %q, want %q", name, content[name], want)
		}
	}
	if modes["usr/local/bin/entrypoint"] != 0o755 || modes["kind/version"] != 0o644 {
		t.Errorf("modes: %o, %o", modes["usr/local/bin/entrypoint"], modes["kind/version"])
	}
}
