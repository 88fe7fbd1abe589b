package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

// suite is the Debian release that nodes are made of, and rootPackages what is
// put on it: kind's list (kind v0.33.0, images/base/Dockerfile) without what
// only storage tests need, plus runc, which kind builds.
const suite = "bookworm"

var rootPackages = []string{
	"systemd", "systemd-sysv", "dbus", "conntrack", "iptables", "nftables",
	"iproute2", "ethtool", "util-linux", "mount", "kmod", "libseccomp2", "pigz",
	"bash", "ca-certificates", "curl", "jq", "procps", "e2fsprogs", "runc",
}

// networkTools are what kube-proxy and podnet call.
var networkTools = []string{
	"/bin/sh", "/usr/sbin/nft", "/usr/sbin/ip", "/usr/sbin/conntrack",
	"/usr/sbin/iptables*", "/usr/sbin/ip6tables*", "/usr/sbin/xtables-*",
	"/usr/lib/*-linux-gnu/xtables/*.so",
}

// shellTools are what kind runs in its load balancer's container (kind v0.33.0,
// loadbalancer.GenerateBootstrapCommand and actions/loadbalancer).
var shellTools = []string{
	"/bin/bash", "/bin/sh", "/bin/mkdir", "/bin/cp", "/bin/mv", "/bin/chmod",
	"/bin/cat", "/bin/sleep", "/bin/ls",
}

// The files of the root file system's piece.
const (
	rootTar    = "root.tar"
	networkTar = "network-tools.tar"
	shellTar   = "shell-tools.tar"
)

// buildRoot makes Debian's part of the node image: the root file system and
// the layers of tools that images inside the node are made of.
func buildRoot(ctx context.Context, r command.Runner, dir string) error {
	root := filepath.Join(dir, "root")
	defer os.RemoveAll(root)
	_, err := r.Run(ctx, command.Cmd{Args: []string{
		"debootstrap", "--variant=minbase", "--include=" + strings.Join(rootPackages, ","), suite, root,
	}, Env: []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}})
	if err != nil {
		return fmt.Errorf("%w%s", err, debootstrapLog(root))
	}
	if err := prepareRoot(root); err != nil {
		return err
	}
	if err := toolsLayer(root, networkTools, filepath.Join(dir, networkTar)); err != nil {
		return err
	}
	if err := toolsLayer(root, shellTools, filepath.Join(dir, shellTar)); err != nil {
		return err
	}
	if _, err := r.Run(ctx, command.Cmd{Args: []string{
		"tar", "--numeric-owner", "--format=pax", "-C", root, "-cf", filepath.Join(dir, rootTar), ".",
	}}); err != nil {
		return err
	}
	return os.RemoveAll(root)
}

// debootstrapLog is where debootstrap says why a package could not be set up.
func debootstrapLog(root string) string {
	b, err := os.ReadFile(filepath.Join(root, "debootstrap", "debootstrap.log"))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return "\nthe end of debootstrap.log:\n" + strings.Join(lines, "\n")
}

// unwanted are the services that must not start in a container, by pattern,
// and what is not needed at run time (kind v0.33.0, images/base/Dockerfile and
// images/base/files/usr/local/bin/clean-install).
var unwanted = []string{
	"lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
	"lib/systemd/system/multi-user.target.wants/*",
	"etc/systemd/system/*.wants/*",
	"lib/systemd/system/local-fs.target.wants/*",
	"lib/systemd/system/sockets.target.wants/*udev*",
	"lib/systemd/system/sockets.target.wants/*initctl*",
	"lib/systemd/system/basic.target.wants/*",
	"var/cache/apt/archives/*.deb", "var/cache/debconf/*", "var/lib/apt/lists/*",
	"var/log/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*",
}

// enabled are the services that a node starts with; kubecomm-node is this
// program's own (files/).
var enabled = []string{"kubelet", "containerd", "undo-mount-hacks", "kubecomm-node"}

// prepareRoot does in a root file system what kind's Dockerfile does in its.
func prepareRoot(root string) error {
	if err := removeAll(root, unwanted); err != nil {
		return err
	}
	journald, err := os.OpenFile(filepath.Join(root, "etc/systemd/journald.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := journald.WriteString("ReadKMsg=no\n"); err != nil {
		journald.Close()
		return err
	}
	if err := journald.Close(); err != nil {
		return err
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	for _, dir := range []string{wants, filepath.Join(root, "etc/kubernetes/manifests")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, service := range enabled {
		if err := os.Symlink("/etc/systemd/system/"+service+".service", filepath.Join(wants, service+".service")); err != nil {
			return err
		}
	}
	// A node that could not be fitted to its machine must not start containers:
	// their packets could leave it.
	requires := filepath.Join(root, "etc/systemd/system/containerd.service.requires")
	if err := os.MkdirAll(requires, 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/etc/systemd/system/kubecomm-node.service", filepath.Join(requires, "kubecomm-node.service")); err != nil {
		return err
	}
	// systemd-binfmt registers with the kernel that all containers share.
	return os.Symlink("/dev/null", filepath.Join(root, "etc/systemd/system/systemd-binfmt.service"))
}

// removeAll removes what patterns below root name.
func removeAll(root string, patterns []string) error {
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, m := range matches {
			if err := os.RemoveAll(m); err != nil {
				return err
			}
		}
	}
	return nil
}
