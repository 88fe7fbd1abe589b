package cluster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// judgement is what is said of a Spec: nothing, or one problem with this path and these words.
type judgement struct {
	spec  Spec
	path  string
	words string
}

func (j judgement) check(t *testing.T, problems []Problem) {
	t.Helper()
	if j.path == "" {
		assert.Empty(t, problems)
		return
	}
	require.Len(t, problems, 1)
	assert.Equal(t, j.path, problems[0].Path.String())
	assert.Contains(t, problems[0].Reason, j.words)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	plane := func(change func(*NodeSpec)) Spec {
		node := NodeSpec{Role: ControlPlane}
		change(&node)
		return Spec{Name: "dev", Nodes: []NodeSpec{node}}
	}
	labels := func(labels map[string]string) Spec {
		return plane(func(node *NodeSpec) { node.Labels = labels })
	}
	mount := func(mount Mount) Spec {
		return plane(func(node *NodeSpec) { node.ExtraMounts = []Mount{mount} })
	}
	network := func(network Networking) Spec { return Spec{Name: "dev", Networking: network} }
	for name, test := range map[string]judgement{
		"a name alone is enough":                       {spec: Spec{Name: "dev"}},
		"a name may have dots, digits and hyphens":     {spec: Spec{Name: "dev-1.test"}},
		"a name has no capitals":                       {Spec{Name: "Dev"}, "name", "lower case"},
		"a name has no underscore":                     {Spec{Name: "a_b"}, "name", "lower case"},
		"a name does not begin with a hyphen":          {Spec{Name: "-dev"}, "name", "DNS"},
		"a name does not have two dots in a row":       {Spec{Name: "a..b"}, "name", "DNS"},
		"a name of 50 characters fits":                 {spec: Spec{Name: strings.Repeat("a", 50)}},
		"a name of 51 characters is too long":          {Spec{Name: strings.Repeat("a", 51)}, "name", "at most 50"},
		"a node's role is one of kind's":               {Spec{Nodes: []NodeSpec{{Role: ControlPlane}, {Role: "master"}}}, "nodes[1].role", "`control-plane` or `worker`"},
		"workers alone make no cluster":                {Spec{Nodes: []NodeSpec{{Role: Worker}}}, "nodes", "at least one node"},
		"a role that isn't known may be control-plane": {spec: Spec{Nodes: []NodeSpec{{Role: Worker}, {}}}},

		"labels may have a prefix":                            {spec: labels(map[string]string{"example.com/tier": "db"})},
		"a kubelet may set its zone":                          {spec: labels(map[string]string{"topology.kubernetes.io/zone": "a"})},
		"a kubelet may set labels below node.kubernetes.io":   {spec: labels(map[string]string{"x.node.kubernetes.io/y": ""})},
		"a kubelet may not set its role":                      {labels(map[string]string{"node-role.kubernetes.io/db": ""}), `nodes[0].labels["node-role.kubernetes.io/db"]`, "refuses to start"},
		"a kubelet may not set labels of k8s.io":              {labels(map[string]string{"x.k8s.io/y": ""}), `nodes[0].labels["x.k8s.io/y"]`, "refuses to start"},
		"a domain that only ends in k8s.io's letters is free": {spec: labels(map[string]string{"notk8s.io/y": ""})},
		"a label's key is a qualified name":                   {labels(map[string]string{"a b": ""}), `nodes[0].labels["a b"]`, "key is not valid"},
		"a label's value has no spaces":                       {labels(map[string]string{"a": "b c"}), `nodes[0].labels["a"]`, "value is not valid"},

		"a mount takes absolute paths":          {spec: mount(Mount{HostPath: "/a", ContainerPath: "/b", Propagation: "Bidirectional"})},
		"a mount's host path is not relative":   {mount(Mount{HostPath: "./a", ContainerPath: "/b"}), "nodes[0].extra_mounts[0].host_path", "relative"},
		"a mount's node path is not relative":   {mount(Mount{HostPath: "/a", ContainerPath: "b"}), "nodes[0].extra_mounts[0].container_path", "not an absolute"},
		"a mount's propagation is one of three": {mount(Mount{Propagation: "shared"}), "nodes[0].extra_mounts[0].propagation", "`None`, `HostToContainer` or `Bidirectional`"},

		"an IP family is one of three":           {network(Networking{IPFamily: "ipv5"}), "networking.ip_family", "`ipv4`, `ipv6` or `dual`"},
		"kube-proxy may be left out":             {spec: network(Networking{KubeProxyMode: "none"})},
		"kube-proxy has modes of its own":        {network(Networking{KubeProxyMode: "ebpf"}), "networking.kube_proxy_mode", "ebpf"},
		"an API address is an IP address":        {network(Networking{APIServerAddress: "localhost"}), "networking.api_server_address", "not an IP address"},
		"an API port is at most 65535":           {network(Networking{APIServerPort: 65536}), "networking.api_server_port", "65536"},
		"the engine may choose the API's port":   {spec: network(Networking{APIServerPort: -1})},
		"a subnet has a length":                  {network(Networking{PodSubnet: "10.0.0.0"}), "networking.pod_subnet", "CIDR"},
		"an IPv4 cluster has no IPv6 pods":       {network(Networking{PodSubnet: "fd00::/56"}), "networking.pod_subnet", "ip_family is `ipv4`"},
		"an IPv6 cluster has no IPv4 services":   {network(Networking{IPFamily: "ipv6", ServiceSubnet: "10.1.0.0/16"}), "networking.service_subnet", "ip_family is `ipv6`"},
		"two subnets need dual-stack":            {network(Networking{PodSubnet: "10.1.0.0/16,fd00::/56"}), "networking.pod_subnet", "needs ip_family `dual`"},
		"dual-stack takes one of each family":    {spec: network(Networking{IPFamily: "dual", PodSubnet: "fd00::/56,10.1.0.0/16"})},
		"dual-stack does not take two of one":    {network(Networking{IPFamily: "dual", PodSubnet: "10.1.0.0/16,10.2.0.0/16"}), "networking.pod_subnet", "one is IPv4"},
		"pods and services do not overlap":       {network(Networking{PodSubnet: "10.0.0.0/8", ServiceSubnet: "10.1.0.0/16"}), "networking.service_subnet", "overlap"},
		"pods do not overlap kind's services":    {network(Networking{PodSubnet: "10.0.0.0/8"}), "networking.pod_subnet", "10.96.0.0/16"},
		"a feature gate is a word":               {Spec{FeatureGates: map[string]bool{"All Alpha": true}}, `feature_gates["All Alpha"]`, "not the name"},
		"a feature gate is not a flag":           {Spec{FeatureGates: map[string]bool{"A=true,B": true}}, `feature_gates["A=true,B"]`, "not the name"},
		"an API is on or off":                    {spec: Spec{RuntimeConfig: map[string]string{"api/all": "true"}}},
		"an API is not anything else":            {Spec{RuntimeConfig: map[string]string{"api/all": "yes"}}, `runtime_config["api/all"]`, "`true` or `false`"},
		"an API's name is not a list":            {Spec{RuntimeConfig: map[string]string{"a=true,b": "true"}}, `runtime_config["a=true,b"]`, "not the name of an API"},
		"containerd's patches are TOML":          {Spec{ContainerdPatches: []string{"[a"}}, "containerd_config_patches[0]", "not valid TOML"},
		"containerd's patches fit its version":   {Spec{ContainerdPatches: []string{"version = 1"}}, "containerd_config_patches[0]", "2 or 3"},
		"containerd's patches come in pairs":     {spec: Spec{ContainerdPatches: []string{"version = 2", "version = 3"}}},
		"a version in words is no version":       {Spec{ContainerdPatches: []string{`version = "three"`}}, "containerd_config_patches[0]", "not a number"},
		"containerd's JSON patches are checked":  {Spec{ContainerdJSONPatches: []string{`[{"op": "add"}]`}}, "containerd_config_patches_json6902[0]", "path"},
		"nothing is said of what is not yet set": {spec: Spec{Nodes: []NodeSpec{{Labels: map[string]string{"a": ""}, KubeadmPatches: []string{""}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

func TestHostPorts(t *testing.T) {
	t.Parallel()
	nodes := func(network Networking, mappings ...[]PortMapping) Spec {
		spec := Spec{Networking: network}
		for _, list := range mappings {
			spec.Nodes = append(spec.Nodes, NodeSpec{Role: ControlPlane, ExtraPortMappings: list})
		}
		return spec
	}
	port := func(hostPort int32, address, protocol string) []PortMapping {
		return []PortMapping{{ContainerPort: 80, HostPort: hostPort, ListenAddress: address, Protocol: protocol}}
	}
	none := Networking{}
	second := "nodes[1].extra_port_mappings[0].host_port"
	for name, test := range map[string]judgement{
		"different ports are free":                    {spec: nodes(none, port(80, "", ""), port(81, "", ""))},
		"one port on two nodes is taken":              {nodes(none, port(80, "", ""), port(80, "", "TCP")), second, "already taken by nodes[0].extra_port_mappings[0].host_port"},
		"one port for two protocols is free":          {spec: nodes(none, port(80, "", "TCP"), port(80, "", "UDP"))},
		"one port at two addresses is free":           {spec: nodes(none, port(80, "127.0.0.1", ""), port(80, "127.0.0.2", ""))},
		"a wildcard takes a port at every address":    {nodes(none, port(80, "127.0.0.1", ""), port(80, "0.0.0.0", "")), second, "TCP port 80 at 0.0.0.0"},
		"the IPv6 wildcard takes IPv4 as well":        {nodes(none, port(80, "127.0.0.1", ""), port(80, "::", "")), second, "port 80"},
		"ports that are chosen at creation are free":  {spec: nodes(none, port(0, "", ""), port(0, "", ""))},
		"ports that the engine chooses are free":      {spec: nodes(none, port(-1, "", ""), port(-1, "", ""))},
		"the API's port is taken":                     {nodes(Networking{APIServerPort: 6443}, port(6443, "", "")), "nodes[0].extra_port_mappings[0].host_port", "networking.api_server_port"},
		"the API's port at another address is free":   {spec: nodes(Networking{APIServerPort: 6443}, port(6443, "127.0.0.2", ""))},
		"a port number is at most 65535":              {nodes(none, port(70000, "", "")), "nodes[0].extra_port_mappings[0].host_port", "70000"},
		"a listen address is an IP address":           {nodes(none, port(80, "lo", "")), "nodes[0].extra_port_mappings[0].listen_address", "not an IP"},
		"a protocol is one of three":                  {nodes(none, port(80, "", "tcp")), "nodes[0].extra_port_mappings[0].protocol", "`TCP`, `UDP` or `SCTP`"},
		"a container's port cannot be negative":       {nodes(none, []PortMapping{{ContainerPort: -1}}), "nodes[0].extra_port_mappings[0].container_port", "-1"},
		"one node's own mappings are looked at first": {nodes(none, append(port(80, "", ""), port(80, "", "")...)), "nodes[0].extra_port_mappings[1].host_port", "[0].host_port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

func TestNodeNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"a-worker", "a-control-plane", "a-worker2", "a-control-plane2"},
		NodeNames("a", []Role{Worker, ControlPlane, Worker, ControlPlane}))
}

func TestSameImage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		same bool
	}{
		"the same name":                       {"kindest/node:v1.37.0", "kindest/node:v1.37.0", true},
		"another tag":                         {"kindest/node:v1.37.0", "kindest/node:v1.37.1", false},
		"Docker Hub's registry is implied":    {"kindest/node:v1.37.0", "docker.io/kindest/node:v1.37.0", true},
		"another registry":                    {"kindest/node:v1.37.0", "example.com/kindest/node:v1.37.0", false},
		"podman drops a tag before a digest":  {"kindest/node:v1.37.0@sha256:ab", "docker.io/kindest/node@sha256:ab", true},
		"another digest":                      {"kindest/node:v1@sha256:ab", "kindest/node:v1@sha256:cd", false},
		"a digest is not left out":            {"kindest/node:v1@sha256:ab", "kindest/node:v1", false},
		"a registry's port is not a tag":      {"localhost:5000/node", "localhost:5001/node", false},
		"podman's name for a local image":     {"node:v1", "localhost/node:v1", true},
		"a library image of Docker Hub":       {"node:v1", "docker.io/library/node:v1", true},
		"nothing is not the same as an image": {"", "node:v1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.same, SameImage(test.a, test.b))
		})
	}
}

func TestVersionOfImage(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"kindest/node:v1.37.0@sha256:ab":     "1.37.0",
		"kindest/node:v1.36.0-alpha.1":       "1.36.0",
		"example.com:5000/node:v1.29.14-foo": "1.29.14",
		"example.com:5000/node":              "",
		"node:v1.2.3":                        "", // an image's own version: kind never ran Kubernetes 1.2
		"node:1.37.0":                        "",
		"node:latest":                        "",
		DefaultNodeImage:                     "1.37.0",
	} {
		got := ""
		if version := versionOfImage(image); version != nil {
			got = version.String()
		}
		assert.Equal(t, want, got, image)
	}
}
