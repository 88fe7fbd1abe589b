package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

// goParts are the programs of a node that come from other projects: a nested
// module below sources/ that pins each, and its packages to build.
var goParts = []goPart{
	{name: "containerd", pkgs: []string{
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr",
	}, tags: "no_aufs,no_zfs,no_btrfs,no_devmapper"}, // kind's BUILDTAGS
	{name: "crictl", pkgs: []string{"sigs.k8s.io/cri-tools/cmd/crictl"}},
	{name: "etcd", pkgs: []string{"go.etcd.io/etcd/server/v3"}, output: "etcd"},
	{name: "coredns", pkgs: []string{"github.com/coredns/coredns"}},
	{name: "cni-plugins", pkgs: []string{
		"github.com/containernetworking/plugins/plugins/main/ptp",
		"github.com/containernetworking/plugins/plugins/main/loopback",
		"github.com/containernetworking/plugins/plugins/ipam/host-local",
		"github.com/containernetworking/plugins/plugins/meta/portmap",
	}},
	{name: "konnectivity", pkgs: []string{
		"sigs.k8s.io/apiserver-network-proxy/cmd/server",
		"sigs.k8s.io/apiserver-network-proxy/cmd/agent",
	}},
}

// goPart is one nested module to build.
type goPart struct {
	name string
	// module is the folder below sources/, where it is not name.
	module string
	pkgs   []string
	tags   string
	// output names the program where there is one and the last part of its
	// path is not its name.
	output  string
	ldflags string
}

// Kubernetes' programs, and agnhost, upstream's test workload server.
var (
	kubernetesPrograms = []string{"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
	agnhostPackage     = "k8s.io/kubernetes/test/images/agnhost"
)

// agnhostPart builds agnhost from the newest Kubernetes here, whatever version
// nodes run, so that one image serves all of them.
func agnhostPart(newest Version) goPart {
	return goPart{name: "agnhost", module: "kubernetes-" + newest.Minor(), pkgs: []string{agnhostPackage}}
}

func (p goPart) dir(source string) string {
	return filepath.Join(source, "sources", cmp.Or(p.module, p.name))
}

func kubernetesPart(v Version) goPart {
	p := goPart{name: "kubernetes-" + v.Minor(), ldflags: kubernetesFlags(v)}
	for _, program := range kubernetesPrograms {
		p.pkgs = append(p.pkgs, "k8s.io/kubernetes/cmd/"+program)
	}
	return p
}

// kubernetesFlags stamps the version in, as kubernetes v1.37.1
// hack/lib/version.sh does; kubeadm refuses to work with an unstamped one.
func kubernetesFlags(v Version) string {
	var b strings.Builder
	for _, pkg := range []string{"k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		for _, set := range [][2]string{
			{"gitVersion", v.String()}, {"gitMajor", fmt.Sprint(v.Major)}, {"gitMinor", fmt.Sprint(v.MinorNumber)},
			{"gitTreeState", "clean"}, {"gitCommit", "unknown"},
		} {
			fmt.Fprintf(&b, " -X %s.%s=%s", pkg, set[0], set[1])
		}
	}
	return strings.TrimSpace(b.String())
}

// key hashes what decides the programs that come out: the pinned versions, what
// is built and how, and the compiler.
func (p goPart) key(source, compiler string) (string, error) {
	pins, err := os.ReadFile(filepath.Join(p.dir(source), "go.mod"))
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(p.dir(source), "go.sum"))
	if err != nil {
		return "", err
	}
	return Key(string(pins), string(sums), strings.Join(p.pkgs, " "), p.tags, p.output, p.ldflags, compiler), nil
}

func (p goPart) build(ctx context.Context, r command.Runner, source, dir string) error {
	out := dir + "/"
	if p.output != "" {
		out += p.output
	}
	args := []string{"go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w " + p.ldflags), "-o", out}
	if p.tags != "" {
		args = append(args, "-tags", p.tags)
	}
	_, err := r.Run(ctx, command.Cmd{
		Args: append(args, p.pkgs...),
		Dir:  p.dir(source),
		Env:  []string{"CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off"},
		Nice: true,
	})
	return err
}

// fetch downloads what p is built from, so that the network works while the
// processor compiles another part.
func (p goPart) fetch(ctx context.Context, r command.Runner, source string) {
	_, _ = r.Run(ctx, command.Cmd{ // the build says what is wrong, if anything is
		Args: append([]string{"go", "list", "-deps", "-f", "{{.Name}}"}, p.pkgs...),
		Dir:  p.dir(source),
		Env:  []string{"CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off"},
	})
}

// ownPrograms are this repository's own parts of the images.
var ownPrograms = []string{"pause", "podnet", "balancer"}

func buildOwn(ctx context.Context, r command.Runner, source, dir string) error {
	args := []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir + "/"}
	for _, name := range ownPrograms {
		args = append(args, "./programs/"+name)
	}
	_, err := r.Run(ctx, command.Cmd{Args: args, Dir: source, Env: []string{"CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off"}})
	return err
}

// module is what `go mod download -json` says.
type module struct{ Path, Version, Dir, Error string }

// downloadModule returns the folder of a module's source at the version that
// the module in dir requires.
func downloadModule(ctx context.Context, r command.Runner, dir, path string) (module, error) {
	var m module
	out, err := r.Run(ctx, command.Cmd{Args: []string{"go", "mod", "download", "-json", path}, Dir: dir, Env: []string{"GOFLAGS=", "GOWORK=off"}})
	if jsonErr := json.Unmarshal([]byte(out), &m); jsonErr != nil {
		return m, errors.Join(err, jsonErr)
	}
	if m.Error != "" {
		return m, errors.New(m.Error)
	}
	if _, err := fs.Stat(os.DirFS(m.Dir), "."); err != nil {
		return m, err
	}
	return m, nil
}
