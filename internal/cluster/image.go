package cluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// imageFacts is what a node image decides about its nodes.
type imageFacts struct {
	kubernetes *kubeVersion // nil if it isn't known yet
	containerd int64        // version of containerd's configuration file, 0 if it isn't known yet
}

// factsByTag is what an image's name tells.
func factsByTag(image string) imageFacts {
	return imageFacts{kubernetes: versionOfImage(image)}
}

// containerdVersions are those that the image's configuration file may have.
func (f imageFacts) containerdVersions() []int64 {
	if f.containerd == 0 {
		return containerdVersions
	}
	return []int64{f.containerd}
}

// factsScript prints the Kubernetes version on one line and the version of containerd's configuration on the next.
const factsScript = `cat /kind/version && echo && sed -n 's/^version *= *//p' /etc/containerd/config.toml`

// imageFacts looks into an image, which the engine pulls if it must.
func (e *Engine) imageFacts(ctx context.Context, image string) (imageFacts, error) {
	output, err := e.command(ctx, "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", factsScript)
	if err != nil {
		return imageFacts{}, fmt.Errorf("looking into node image %s for its Kubernetes version: %w", image, err)
	}
	lines := strings.Fields(output)
	if len(lines) == 0 {
		return imageFacts{}, fmt.Errorf("image %s is not a kind node image: its /kind/version is empty", image)
	}
	facts := imageFacts{}
	if facts.kubernetes, err = version.ParseGeneric(lines[0]); err != nil {
		return imageFacts{}, fmt.Errorf("image %s is not a kind node image: /kind/version: %w", image, err)
	}
	if len(lines) > 1 {
		// Left open if it isn't a number: kind says so itself, and plainly.
		facts.containerd, _ = strconv.ParseInt(lines[1], 10, 64)
	}
	return facts, nil
}

// specFacts looks into the images of all nodes of a Spec that has patches; without any, the images' tags will do.
func (e *Engine) specFacts(ctx context.Context, spec Spec) ([]imageFacts, error) {
	known := map[string]imageFacts{}
	var facts []imageFacts
	for _, node := range spec.nodes() {
		image := spec.image(node)
		if image == "" {
			image = DefaultNodeImage
		}
		if _, found := known[image]; !found {
			known[image] = factsByTag(image)
			if spec.patched() {
				looked, err := e.imageFacts(ctx, image)
				if err != nil {
					return nil, err
				}
				known[image] = looked
			}
		}
		facts = append(facts, known[image])
	}
	return facts, nil
}

// patched says whether any patch depends on what is in an image.
func (s Spec) patched() bool {
	patched := len(s.KubeadmPatches)+len(s.KubeadmJSONPatches)+len(s.ContainerdPatches) > 0
	for _, node := range s.Nodes {
		patched = patched || len(node.KubeadmPatches)+len(node.KubeadmJSONPatches) > 0
	}
	return patched
}
