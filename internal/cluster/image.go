package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// imageFacts is what a node image decides about its nodes.
type imageFacts struct {
	kubernetes *kubeVersion // nil if it isn't known yet
	containerd int64        // version of containerd's configuration file, 0 if it isn't known yet
	// gateProblems is what its kubelet has against the cluster's feature gates.
	gateProblems []string
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

// factsScript prints the Kubernetes version, the version of containerd's configuration, and what the kubelet has against
// feature gates that are given as a YAML map. The kubelet is given a configuration that is wrong in another way too, so
// that it ends in any case; it looks at feature gates first (Kubernetes v1.37.1, cmd/kubelet/app/server.go).
const factsScript = `
echo "kubernetes $(cat /kind/version)"
sed -n 's/^version *= */containerd /p' /etc/containerd/config.toml
printf '%s\n' 'apiVersion: kubelet.config.k8s.io/v1beta1' 'kind: KubeletConfiguration' \
  'maxPods: -1' "featureGates: $1" >/tmp/kubelet
timeout 20 kubelet --config=/tmp/kubelet 2>&1 |
  grep -oE 'unrecognized feature gate: \w+|cannot set feature gate \w+ to \w+, feature is [^],"]+' | sort -u | sed 's/^/gate /'
exit 0`

// imageFacts looks into an image, which the engine pulls if it must.
func (e *Engine) imageFacts(ctx context.Context, image string, gates map[string]bool) (imageFacts, error) {
	asked, err := json.Marshal(gates)
	if err != nil {
		return imageFacts{}, err
	}
	output, err := e.command(ctx, "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", factsScript, "sh", string(asked))
	if err != nil {
		return imageFacts{}, fmt.Errorf("looking into node image %s: %w", image, err)
	}
	return parseImageFacts(image, output)
}

func parseImageFacts(image, output string) (imageFacts, error) {
	var facts imageFacts
	for line := range strings.Lines(output) {
		what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "kubernetes":
			var err error
			if facts.kubernetes, err = version.ParseGeneric(value); err != nil {
				return imageFacts{}, fmt.Errorf("image %s is not a kind node image: its /kind/version: %w", image, err)
			}
		case "containerd":
			// Left open if it isn't a number: kind says so itself, and plainly.
			facts.containerd, _ = strconv.ParseInt(value, 10, 64)
		case "gate":
			facts.gateProblems = append(facts.gateProblems, value)
		}
	}
	return facts, nil
}

// specFacts looks into the images of all nodes, if anything in the Spec depends on what is in them; otherwise the images'
// tags will do.
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
			if spec.dependsOnImages() {
				looked, err := e.imageFacts(ctx, image, spec.FeatureGates)
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

func (s Spec) dependsOnImages() bool {
	patches := len(s.KubeadmPatches) + len(s.KubeadmJSONPatches) + len(s.ContainerdPatches)
	for _, node := range s.Nodes {
		patches += len(node.KubeadmPatches) + len(node.KubeadmJSONPatches)
	}
	return patches > 0 || len(s.FeatureGates) > 0
}
