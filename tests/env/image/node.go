package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

// podnetImage is the image that programs/podnet/manifest.yaml names.
const podnetImage = "localhost/kubecomm/podnet:1"

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// buildNode puts a node image together and gives it the tag ref.
func (b *Builder) buildNode(ctx context.Context, ref, key string, v Version, p pieces, kindDir, scratch string) error {
	manifest, err := os.ReadFile(filepath.Join(b.Source, "programs/podnet/manifest.yaml"))
	if err != nil {
		return err
	}
	base := baseName + ":" + key
	files := nodeFiles{source: b.Source, pieces: p, version: v, kindDir: kindDir, manifest: string(manifest)}
	err = stream(files.write, func(root io.Reader) error {
		_, err := b.Runner.Run(ctx, command.Cmd{Args: []string{
			"docker", "import",
			// systemd looks for it to know that it is in a container (kind
			// v0.33.0, images/base/Dockerfile).
			"--change", "ENV container=docker " + searchPath,
			"-", base,
		}, Stdin: root})
		return err
	})
	if err != nil {
		return err
	}
	defer b.Runner.Run(context.WithoutCancel(ctx), command.Cmd{Args: []string{"docker", "rmi", base}}) //nolint:errcheck // a leftover tag
	specs, err := b.innerImages(ctx, v, p, scratch, kindDir)
	if err != nil {
		return err
	}
	return b.importImages(ctx, base, ref, key, specs)
}

// What a build has in the engine while it is at work.
const (
	baseName        = "kubecomm-env/node-base"
	containerPrefix = "kubecomm-env-build-"
)

// importImages runs the image, lets its own containerd take in specs, and
// commits the result, as kind does (kind v0.33.0, pkg/build/nodeimage). The
// container needs no network.
func (b *Builder) importImages(ctx context.Context, base, ref, key string, specs []Spec) error {
	name := containerPrefix + key
	docker := func(stdin io.Reader, args ...string) error {
		_, err := b.Runner.Run(ctx, command.Cmd{Args: append([]string{"docker"}, args...), Stdin: stdin})
		return err
	}
	remove := func() {
		_, _ = b.Runner.Run(context.WithoutCancel(ctx), command.Cmd{Args: []string{"docker", "rm", "--force", "--volumes", name}})
	}
	remove() // of a build of this very image that was killed
	// The stop signal is the container's own here, but the commit keeps it:
	// systemd ends on another signal than most (kind's Dockerfile again), and
	// neither import nor commit can set one.
	if err := docker(nil, "run", "--detach", "--network=none", "--security-opt=seccomp=unconfined",
		"--stop-signal=SIGRTMIN+3", "--entrypoint=sleep", "--name="+name, base, "infinity"); err != nil {
		return err
	}
	defer remove()
	// kind's Dockerfile makes this file in the same way.
	spec := `ctr oci spec | jq '.hooks.createContainer[.hooks.createContainer|length] |= . + {"path": "/kind/bin/mount-product-files.sh"} | del(.process.rlimits)' > /etc/containerd/cri-base.json`
	if err := docker(nil, "exec", name, "bash", "-o", "pipefail", "-ec", spec); err != nil {
		return err
	}
	if err := docker(nil, "exec", "--detach", name, "containerd"); err != nil {
		return err
	}
	wait := `for i in {1..100}; do ctr version >/dev/null 2>&1 && exit 0; sleep 0.2; done; ctr version`
	if err := docker(nil, "exec", name, "bash", "-c", wait); err != nil {
		return fmt.Errorf("containerd did not start in the image: %w", err)
	}
	// Pinned: the kubelet must not collect what can not be pulled again.
	if err := withArchive(runtime.GOARCH, specs, func(archive io.Reader) error {
		return docker(archive, "exec", "--interactive", name, "ctr", "--namespace=k8s.io", "images", "import",
			"--label=io.cri-containerd.pinned=pinned", "--no-unpack", "--digests", "-")
	}); err != nil {
		return err
	}
	stop := `pid=$(pidof containerd); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done; rm -rf /run/containerd /tmp/*`
	if err := docker(nil, "exec", name, "bash", "-c", stop); err != nil {
		return err
	}
	return docker(nil, "commit", "--change", `ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]`, "--change", "CMD []",
		"--change", "LABEL "+recipeLabel+"="+key, name, ref)
}

var sandboxImage = regexp.MustCompile(`(?m)^\s*sandbox_image = "([^"]+)"`)

// innerImages are what a cluster runs before anything can be loaded into it.
func (b *Builder) innerImages(ctx context.Context, v Version, p pieces, scratch, kindDir string) ([]Spec, error) {
	kubernetes := p.parts[kubernetesPart(v).name]
	list, err := command.Output(ctx, b.Runner, filepath.Join(kubernetes, "kubeadm"), "config", "images", "list", "--kubernetes-version", v.String())
	if err != nil {
		return nil, err
	}
	config, err := os.ReadFile(filepath.Join(kindDir, "images/base/files/etc/containerd/config.toml"))
	if err != nil {
		return nil, err
	}
	sandbox := sandboxImage.FindSubmatch(config)
	if sandbox == nil {
		return nil, errors.New("no sandbox_image in kind's containerd configuration")
	}
	var specs []Spec
	add := func(ref string, s Spec, files map[string]string, below ...string) error {
		layer := filepath.Join(scratch, fmt.Sprintf("layer-%d.tar", len(specs)))
		if err := writeLayer(layer, files); err != nil {
			return err
		}
		s.Ref, s.Layers = ref, slices.Concat(below, []string{layer})
		s.Env = append(s.Env, searchPath)
		specs = append(specs, s)
		return nil
	}
	network := filepath.Join(p.root, networkTar)
	for ref := range strings.FieldsSeq(list) {
		name, _, _ := SplitRef(ref)
		program := name[strings.LastIndex(name, "/")+1:]
		at := "usr/local/bin/" + program
		var err error
		switch program {
		case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
			err = add(ref, Spec{}, map[string]string{at: filepath.Join(kubernetes, program)})
		case "kube-proxy":
			err = add(ref, Spec{}, map[string]string{at: filepath.Join(kubernetes, program)}, network)
		case "etcd":
			err = add(ref, Spec{}, map[string]string{at: filepath.Join(p.parts["etcd"], "etcd")})
		case "coredns":
			err = add(ref, Spec{Entrypoint: []string{"/coredns"}, WorkingDir: "/"}, map[string]string{"coredns": filepath.Join(p.parts["coredns"], "coredns")})
		case "pause": // the one that containerd is configured with is added below
		default:
			err = fmt.Errorf("kubeadm asks for %s, which this program can not build", ref)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := add(string(sandbox[1]), Spec{Entrypoint: []string{"/pause"}}, map[string]string{"pause": filepath.Join(p.own, "pause")}); err != nil {
		return nil, err
	}
	if err := add(podnetImage, Spec{Entrypoint: []string{"/podnet"}}, map[string]string{"podnet": filepath.Join(p.own, "podnet")}, network); err != nil {
		return nil, err
	}
	agnhost, err := agnhostSpec(p, scratch)
	return append(specs, agnhost), err
}
