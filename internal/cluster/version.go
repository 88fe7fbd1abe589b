package cluster

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// kubeVersion is the Kubernetes version of a node image; nil means that it isn't known.
type kubeVersion = version.Version

// versionTag is how node images are tagged. Other tags say nothing about the version: "v1.2" would be an image's own.
var versionTag = regexp.MustCompile(`^v1\.(?:[2-9][0-9]|1[0-9]{2})\.[0-9]+`)

// versionOfImage tells a node image's Kubernetes version by its tag.
func versionOfImage(image string) *kubeVersion {
	reference := parseImage(image)
	found := versionTag.FindString(reference.tag)
	if found == "" {
		return nil
	}
	return version.MustParseGeneric(found)
}

// kubeadmAPIVersion is the version of kubeadm's configuration that kind generates for a Kubernetes version (kind
// v0.33.0, pkg/cluster/internal/kubeadm/config.go).
func kubeadmAPIVersion(of *kubeVersion) string {
	switch {
	case of.LessThan(version.MustParseGeneric("1.23.0")):
		return kubeadmGroup + "/v1beta2"
	case of.LessThan(version.MustParseGeneric("1.36.0")):
		return kubeadmGroup + "/v1beta3"
	default:
		return kubeadmGroup + "/v1beta4"
	}
}

const kubeadmGroup = "kubeadm.k8s.io"

// imageReference is a container image's name taken apart.
type imageReference struct {
	repository, tag, digest string
}

func parseImage(image string) imageReference {
	var reference imageReference
	image, reference.digest, _ = strings.Cut(image, "@")
	reference.repository = image
	// A colon before the last slash belongs to the registry's port.
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		reference.repository, reference.tag = image[:colon], image[colon+1:]
	}
	return reference
}

// SameImage says whether two names mean the same image. Engines write names in different ways: with Docker Hub's
// registry or without, and podman drops the tag of a name that has a digest as well.
func SameImage(a, b string) bool {
	if a == b {
		return true
	}
	left, right := parseImage(a), parseImage(b)
	if familiarName(left.repository) != familiarName(right.repository) {
		return false
	}
	if left.digest != "" && right.digest != "" {
		return left.digest == right.digest
	}
	return left.tag == right.tag && left.digest == right.digest
}

func familiarName(repository string) string {
	for _, prefix := range []string{"docker.io/library/", "docker.io/", "localhost/"} {
		if name, found := strings.CutPrefix(repository, prefix); found {
			return name
		}
	}
	return repository
}

// KubernetesMinor returns the minor version of Kubernetes 1 that the nodes run; of several, the lowest.
func (c *Cluster) KubernetesMinor(ctx context.Context) (uint, error) {
	var lowest uint
	for i, node := range c.nodes {
		file, err := node.ReadFile(ctx, "/kind/version")
		if err != nil {
			return 0, err
		}
		found, err := version.ParseGeneric(strings.TrimSpace(string(file.Data)))
		if err != nil {
			return 0, fmt.Errorf("/kind/version on node %s: %w", node.name, err)
		}
		if i == 0 || found.Minor() < lowest {
			lowest = found.Minor()
		}
	}
	return lowest, nil
}
