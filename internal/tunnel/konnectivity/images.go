package konnectivity

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Images are the container images of both ends.
type Images struct{ Server, Agent string }

// Upstream's images, without their tags.
const (
	serverRepository = "registry.k8s.io/kas-network-proxy/proxy-server"
	agentRepository  = "registry.k8s.io/kas-network-proxy/proxy-agent"
)

// pins are the versions that each minor version of Kubernetes 1 pins, newest first: the tags in
// cluster/gce/manifests/konnectivity-server.yaml and cluster/gce/addons/konnectivity-agent/konnectivity-agent-ds.yaml of
// Kubernetes v1.37.1, v1.36.3, v1.35.4 and v1.34.4, which are also those of konnectivity-client in their go.mod.
var pins = []struct {
	minor uint
	tag   string
}{
	{37, "v0.36.0"},
	{36, "v0.34.0"},
	{35, "v0.31.2"},
	{34, "v0.31.2"},
}

// DefaultTag returns the version that goes with a minor version of Kubernetes 1. Newer ones than are known have the newest,
// older ones the oldest.
func DefaultTag(minor uint) string {
	for _, pin := range pins {
		if minor >= pin.minor {
			return pin.tag
		}
	}
	return pins[len(pins)-1].tag
}

// OrDefault fills in the images that aren't given.
func (i Images) OrDefault(minor uint) Images {
	tag := DefaultTag(minor)
	return Images{
		Server: cmp.Or(i.Server, serverRepository+":"+tag), Agent: cmp.Or(i.Agent, agentRepository+":"+tag),
	}
}

// tlsFloorSince is the first version of the server that can be told which version of TLS is the oldest
// (apiserver-network-proxy v0.35.0, cmd/server/app/options/options.go). Those before accept TLS 1.2 and later.
var tlsFloorSince = version.MustParseSemantic("v0.35.0")

// takesTLSFloor reports whether a server's image can be told. One whose tag is no version is taken for a new one.
func takesTLSFloor(image string) bool {
	image, _, _ = strings.Cut(image, "@")
	tag := image[strings.LastIndex(image, ":")+1:]
	parsed, err := version.ParseSemantic(tag)
	return err != nil || parsed.AtLeast(tlsFloorSince)
}
