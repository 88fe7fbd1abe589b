package cluster

import (
	"slices"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

// DefaultNodeImage is the image of nodes that name none: the one that this version of kind was tested with.
const DefaultNodeImage = defaults.Image

// Spec says which cluster to create. Zero values leave a choice to kind.
type Spec struct {
	Name                  string
	NodeImage             string // for nodes that name none
	Nodes                 []NodeSpec
	Networking            Networking
	FeatureGates          map[string]bool
	RuntimeConfig         map[string]string
	KubeadmPatches        []string // YAML, merged into what kind generates
	KubeadmJSONPatches    []JSONPatch
	ContainerdPatches     []string // TOML, merged into every node's configuration
	ContainerdJSONPatches []string // RFC 6902
}

// NodeSpec is one node of a Spec.
type NodeSpec struct {
	Role               Role
	Image              string
	Labels             map[string]string
	ExtraMounts        []Mount
	ExtraPortMappings  []PortMapping
	KubeadmPatches     []string
	KubeadmJSONPatches []JSONPatch
}

// Mount makes a path of the machine visible in a node.
type Mount struct {
	HostPath       string
	ContainerPath  string
	Propagation    string
	ReadOnly       bool
	SELinuxRelabel bool
}

// PortMapping makes a port of a node reachable at a port of the machine.
type PortMapping struct {
	ContainerPort int32
	HostPort      int32 // 0 lets kind choose a free one, -1 the container engine
	ListenAddress string
	Protocol      string
}

// JSONPatch is a list of RFC 6902 operations on the kubeadm document of a kind.
type JSONPatch struct {
	Group   string
	Version string
	Kind    string
	Patch   string
}

// Networking is what all nodes of a cluster share.
type Networking struct {
	IPFamily          string
	PodSubnet         string
	ServiceSubnet     string
	APIServerAddress  string
	APIServerPort     int32 // 0 lets kind choose a free one, -1 the container engine
	DisableDefaultCNI bool
	KubeProxyMode     string
	DNSSearch         []string // nil takes the machine's, empty means none
}

// The choices that a Spec offers, most usual first.
var (
	Roles             = choices{string(ControlPlane), string(Worker)}
	IPFamilies        = choices{ipv4, ipv6, dualStack}
	KubeProxyModes    = choices{"iptables", "nftables", "ipvs", kubeProxyNone}
	PortProtocols     = choices{"TCP", "UDP", "SCTP"}
	MountPropagations = choices{
		string(v1alpha4.MountPropagationNone),
		string(v1alpha4.MountPropagationHostToContainer),
		string(v1alpha4.MountPropagationBidirectional),
	}
)

const (
	ipv4      = string(v1alpha4.IPv4Family)
	ipv6      = string(v1alpha4.IPv6Family)
	dualStack = string(v1alpha4.DualStackFamily)

	// kubeProxyNone is in kind's internal types only (v0.33.0, pkg/internal/apis/config/types.go).
	kubeProxyNone = "none"
)

// nodes returns the nodes that will be created, with their roles filled in.
func (s Spec) nodes() []NodeSpec {
	if len(s.Nodes) == 0 {
		return []NodeSpec{{Role: ControlPlane}}
	}
	return slices.Clone(s.Nodes)
}

// image returns the image of a node of this Spec, or "" if it isn't known yet.
func (s Spec) image(node NodeSpec) string {
	if node.Image != "" {
		return node.Image
	}
	return s.NodeImage
}

// config puts the Spec into kind's terms.
func (s Spec) config() *v1alpha4.Cluster {
	config := &v1alpha4.Cluster{
		Name: s.Name,
		Networking: v1alpha4.Networking{
			IPFamily:          v1alpha4.ClusterIPFamily(s.Networking.IPFamily),
			PodSubnet:         s.Networking.PodSubnet,
			ServiceSubnet:     s.Networking.ServiceSubnet,
			APIServerAddress:  s.Networking.APIServerAddress,
			APIServerPort:     s.Networking.APIServerPort,
			DisableDefaultCNI: s.Networking.DisableDefaultCNI,
			KubeProxyMode:     v1alpha4.ProxyMode(s.Networking.KubeProxyMode),
		},
		FeatureGates:                    s.FeatureGates,
		RuntimeConfig:                   s.RuntimeConfig,
		KubeadmConfigPatches:            s.KubeadmPatches,
		KubeadmConfigPatchesJSON6902:    jsonPatchConfig(s.KubeadmJSONPatches),
		ContainerdConfigPatches:         s.ContainerdPatches,
		ContainerdConfigPatchesJSON6902: s.ContainerdJSONPatches,
	}
	if s.Networking.DNSSearch != nil {
		config.Networking.DNSSearch = &s.Networking.DNSSearch
	}
	for _, node := range s.nodes() {
		config.Nodes = append(config.Nodes, node.config(s.image(node)))
	}
	v1alpha4.SetDefaultsCluster(config)
	return config
}

func (n NodeSpec) config(image string) v1alpha4.Node {
	node := v1alpha4.Node{
		Role:                         v1alpha4.NodeRole(n.Role),
		Image:                        image,
		Labels:                       n.Labels,
		KubeadmConfigPatches:         n.KubeadmPatches,
		KubeadmConfigPatchesJSON6902: jsonPatchConfig(n.KubeadmJSONPatches),
	}
	for _, mount := range n.ExtraMounts {
		node.ExtraMounts = append(node.ExtraMounts, v1alpha4.Mount{
			HostPath:       mount.HostPath,
			ContainerPath:  mount.ContainerPath,
			Propagation:    v1alpha4.MountPropagation(mount.Propagation),
			Readonly:       mount.ReadOnly,
			SelinuxRelabel: mount.SELinuxRelabel,
		})
	}
	for _, mapping := range n.ExtraPortMappings {
		node.ExtraPortMappings = append(node.ExtraPortMappings, v1alpha4.PortMapping{
			ContainerPort: mapping.ContainerPort,
			HostPort:      mapping.HostPort,
			ListenAddress: mapping.ListenAddress,
			Protocol:      v1alpha4.PortMappingProtocol(mapping.Protocol),
		})
	}
	return node
}

func jsonPatchConfig(patches []JSONPatch) []v1alpha4.PatchJSON6902 {
	var config []v1alpha4.PatchJSON6902
	for _, patch := range patches {
		config = append(config, v1alpha4.PatchJSON6902(patch))
	}
	return config
}
