package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	image135 = "kindest/node:v1.35.4"
	image137 = "kindest/node:v1.37.1"
	opaque   = "example.com/node:mine" // tells nothing of its version
)

func TestKubeadmPatches(t *testing.T) {
	t.Parallel()
	of := func(image string, patches ...string) Spec { return Spec{NodeImage: image, KubeadmPatches: patches} }
	at := "kubeadm_config_patches[0]"
	for name, test := range map[string]judgement{
		"a patch for the version that kind generates": {spec: of(image137, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: x")},
		"a patch without a version fits every image":  {spec: of(opaque, "kind: InitConfiguration\nnodeRegistration: {taints: []}")},
		"v1beta4 is not generated below 1.36":         {of(image135, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration"), at, "for Kubernetes 1.35.4 kind generates ClusterConfiguration with kubeadm.k8s.io/v1beta3"},
		"v1beta3 is not generated from 1.36 on":       {of(image137, "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration"), at, "for Kubernetes 1.37.1 kind generates ClusterConfiguration with kubeadm.k8s.io/v1beta4"},
		"either may be right for an unknown image":    {spec: of(opaque, "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration")},
		"v1beta1 is right for none":                   {of(opaque, "apiVersion: kubeadm.k8s.io/v1beta1\nkind: ClusterConfiguration"), at, "v1beta2 or kubeadm.k8s.io/v1beta3 or kubeadm.k8s.io/v1beta4"},
		"one patch for each version covers both": {spec: of(image137,
			"apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration")},
		"a patch without a version does not stand in for one with": {of(image137,
			"apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration", "kind: ClusterConfiguration"), at, "dropped in silence"},
		"the kubelet's configuration has a version of its own": {of(image137, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: KubeletConfiguration"), at, "kubelet.config.k8s.io/v1beta1"},
		"a kind that is not generated":                         {of(image137, "kind: KubeletConfig\nfailSwapOn: true"), at, "its kind is KubeletConfig, and kind generates only"},
		"a kind in lower case":                                 {of(image137, "kind: clusterConfiguration"), at, "its kind is clusterConfiguration"},
		"no kind at all":                                       {of(image137, "apiServer: {}"), at, "it names no kind"},
		"a list":                                               {of(image137, "- kind: ClusterConfiguration"), at, "not a YAML object"},
		"broken YAML":                                          {of(image137, "kind: [ClusterConfiguration"), at, "not valid YAML"},
		"a key that is there twice":                            {of(image137, "kind: InitConfiguration\nkind: InitConfiguration"), at, "not valid YAML"},
		"comments alone":                                       {of(image137, "# nothing"), at, "no content"},
		"blank documents between others":                       {spec: of(image137, "---\nkind: InitConfiguration\n---\n\n---\nkind: JoinConfiguration\n---\n")},
		"the second of two documents":                          {of(image137, "kind: InitConfiguration\n---\nkind: Nothing"), at, "Document 2 of the patch would be dropped in silence"},
		"joining nodes' configuration where none joins":        {spec: of(image137, "kind: JoinConfiguration")},
		"kube-proxy's configuration without kube-proxy": {Spec{NodeImage: image137, Networking: Networking{KubeProxyMode: "none"},
			KubeadmPatches: []string{"kind: KubeProxyConfiguration"}}, at, "doesn't exist with kube_proxy_mode `none`"},
		"a patch that is not known yet": {spec: of(image137, "")},
		"nodes of two versions take the patch of their first control plane": {spec: Spec{
			Nodes:          []NodeSpec{{Role: Worker, Image: image135}, {Role: ControlPlane, Image: image137}},
			KubeadmPatches: []string{"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration"}}},
		"nodes of two versions do not join with one patch": {Spec{
			Nodes:          []NodeSpec{{Role: ControlPlane, Image: image137}, {Role: Worker, Image: image137}, {Role: Worker, Image: image135}},
			KubeadmPatches: []string{"apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration"}}, at, "for Kubernetes 1.35.4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

func TestKubeadmArguments(t *testing.T) {
	t.Parallel()
	const v4, v3 = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n"
	const free = "kind: ClusterConfiguration\n"
	const list, mapping = "apiServer: {extraArgs: [{name: v, value: '5'}]}", "apiServer: {extraArgs: {v: '5'}}"
	of := func(image string, patch string) Spec { return Spec{NodeImage: image, KubeadmPatches: []string{patch}} }
	at := "kubeadm_config_patches[0]"
	for name, test := range map[string]judgement{
		"v1beta4 takes a list":                                     {spec: of(image137, v4+list)},
		"v1beta4 drops a map":                                      {of(image137, v4+mapping), at, "apiServer.extraArgs is a map, and would be dropped in silence"},
		"v1beta4 drops a map, whatever the image":                  {of(opaque, v4+mapping), at, "dropped in silence"},
		"a map without a version is converted for v1beta4":         {spec: of(image137, free+mapping)},
		"a list without a version is right for v1beta4":            {spec: of(image137, free+list)},
		"v1beta3 takes a map":                                      {spec: of(image135, v3+mapping)},
		"v1beta3 does not take a list":                             {of(image135, v3+list), at, "is a list, but kubeadm.k8s.io/v1beta3 takes a map"},
		"a list without a version is not right for v1beta3":        {of(image135, free+list), at, "takes a map"},
		"either may be right for an unknown image":                 {spec: of(opaque, free+list)},
		"arguments of the kubelet, one level down":                 {of(image137, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration: {kubeletExtraArgs: {v: '5'}}"), at, "nodeRegistration.kubeletExtraArgs is a map"},
		"arguments of etcd, two levels down":                       {of(image137, v4+"etcd: {local: {extraArgs: {v: '5'}}}"), at, "etcd.local.extraArgs is a map"},
		"a number has to be quoted in a list":                      {of(image137, v4+"apiServer: {extraArgs: [{name: v, value: 5}]}"), at, "apiServer.extraArgs[0] (v) is 5, which is not a string: quote it"},
		"a number has to be quoted in a map":                       {of(image135, v3+"apiServer: {extraArgs: {v: 5}}"), at, "apiServer.extraArgs.v is 5"},
		"true has to be quoted":                                    {of(image137, free+"apiServer: {extraArgs: {profiling: false}}"), at, "is false, which is not a string"},
		"null takes an argument away":                              {spec: of(image137, v4+"controllerManager: {extraArgs: [{name: enable-hostpath-provisioner}]}")},
		"an argument without a name is dropped":                    {of(image137, v4+"apiServer: {extraArgs: [{value: x}]}"), at, "extraArgs[0] has no name"},
		"flags as strings are dropped":                             {of(image137, v4+"apiServer: {extraArgs: ['--v=5']}"), at, "extraArgs[0] has no name"},
		"arguments are neither a string":                           {of(image137, v4+"apiServer: {extraArgs: '--v=5'}"), at, "neither a list"},
		"names of a certificate are a list":                        {spec: of(image137, v4+"apiServer: {certSANs: [a]}")},
		"names of a certificate that are no list are dropped":      {of(image137, v4+"apiServer: {certSANs: a}"), at, "certSANs is not a list"},
		"fields of the same name mean nothing to other components": {spec: of(image137, "kind: KubeProxyConfiguration\nconfig: {extraArgs: {v: '5'}}")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

func TestNodesOwnPatches(t *testing.T) {
	t.Parallel()
	of := func(node int, patch string) Spec {
		spec := Spec{NodeImage: image137, Nodes: []NodeSpec{{Role: ControlPlane}, {Role: ControlPlane}, {Role: Worker}}}
		spec.Nodes[node].KubeadmPatches = []string{patch}
		return spec
	}
	for name, test := range map[string]judgement{
		"the first control plane reads InitConfiguration":          {spec: of(0, "kind: InitConfiguration")},
		"the first control plane reads KubeletConfiguration":       {spec: of(0, "kind: KubeletConfiguration")},
		"the first control plane does not read JoinConfiguration":  {of(0, "kind: JoinConfiguration"), "nodes[0].kubeadm_config_patches[0]", "InitConfiguration"},
		"another control plane reads JoinConfiguration":            {spec: of(1, "kind: JoinConfiguration")},
		"another control plane does not read ClusterConfiguration": {of(1, "kind: ClusterConfiguration"), "nodes[1].kubeadm_config_patches[0]", "this node joins"},
		"a worker reads JoinConfiguration":                         {spec: of(2, "kind: JoinConfiguration")},
		"a worker does not read KubeletConfiguration":              {of(2, "kind: KubeletConfiguration"), "nodes[2].kubeadm_config_patches[0]", "Move the patch"},
		"a role that is not known may read anything": {spec: Spec{NodeImage: image137, Nodes: []NodeSpec{
			{Role: ControlPlane}, {KubeadmPatches: []string{"kind: InitConfiguration"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

func TestKubeadmJSONPatches(t *testing.T) {
	t.Parallel()
	of := func(group, version, kind, patch string) Spec {
		return Spec{NodeImage: image137, KubeadmJSONPatches: []JSONPatch{{Group: group, Version: version, Kind: kind, Patch: patch}}}
	}
	const add = `[{"op": "add", "path": "/apiServer/certSANs/-", "value": "a"}]`
	const cluster = "ClusterConfiguration"
	at, patch := "kubeadm_config_patches_json6902[0]", "kubeadm_config_patches_json6902[0].patch"
	for name, test := range map[string]judgement{
		"a patch for the version that kind generates": {spec: of("kubeadm.k8s.io", "v1beta4", cluster, add)},
		"a patch without a version":                   {spec: of("", "", cluster, add)},
		"operations in YAML":                          {spec: of("", "", cluster, "- op: remove\n  path: /clusterName")},
		"another version":                             {of("kubeadm.k8s.io", "v1beta3", cluster, add), at, "kind generates ClusterConfiguration with kubeadm.k8s.io/v1beta4"},
		"a group without a version matches nothing":   {of("kubeadm.k8s.io", "", cluster, add), at, "its apiVersion is kubeadm.k8s.io/,"},
		"a version without a group matches nothing":   {of("", "v1beta4", cluster, add), at, "its apiVersion is v1beta4,"},
		"another kind":                                {of("", "", "Cluster", add), at, "its kind is Cluster"},
		"a kind that is not known yet":                {spec: of("", "", "", add)},
		"no list":                                     {of("", "", cluster, `{"op": "add"}`), patch, "not a list of RFC 6902 operations"},
		"broken JSON":                                 {of("", "", cluster, `[{]`), patch, "not a list of RFC 6902 operations"},
		"no operations":                               {of("", "", cluster, `[]`), patch, "no operations"},
		"an operation that does not exist":            {of("", "", cluster, `[{"op": "append", "path": "/a"}]`), patch, "`add`, `remove`, `replace`, `move`, `copy` or `test`"},
		"no operation":                                {of("", "", cluster, `[{"path": "/a"}]`), patch, "op must be"},
		"a path with dots":                            {of("", "", cluster, `[{"op": "remove", "path": "apiServer.certSANs"}]`), patch, "JSON pointer"},
		"nothing to add":                              {of("", "", cluster, `[{"op": "remove", "path": "/a"}, {"op": "add", "path": "/a"}]`), patch, "Operation 2: add needs a value"},
		"nowhere to move from":                        {of("", "", cluster, `[{"op": "move", "path": "/a"}]`), patch, "move needs from"},
		"null is a value":                             {spec: of("", "", cluster, `[{"op": "add", "path": "/a", "value": null}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t, test.spec.Problems())
		})
	}
}

// What an image's tag said at plan time does not count once the image has been looked into.
func TestPatchesAreJudgedByTheImageItself(t *testing.T) {
	t.Parallel()
	spec := Spec{
		NodeImage:         opaque,
		KubeadmPatches:    []string{"apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration"},
		ContainerdPatches: []string{"version = 2"},
	}
	assert.Empty(t, spec.Problems())
	assert.Empty(t, spec.problems([]imageFacts{{kubernetes: versionOfImage(image135), containerd: 2}}))
	problems := spec.problems([]imageFacts{{kubernetes: versionOfImage(image137), containerd: 3}})
	if assert.Len(t, problems, 2) {
		assert.Contains(t, problems[0].Reason, "for Kubernetes 1.37.1")
		assert.Contains(t, problems[1].Reason, "the node image's is 3")
	}
}

func TestFeatureGatesAreJudgedByTheKubelet(t *testing.T) {
	t.Parallel()
	facts, err := parseImageFacts("a", "kubernetes v1.37.1\ncontainerd 3\ngate unrecognized feature gate: Nope\n")
	require.NoError(t, err)
	assert.Equal(t, "1.37.1", facts.kubernetes.String())
	assert.EqualValues(t, 3, facts.containerd)
	judgement{path: "feature_gates", words: "refuses to start: unrecognized feature gate: Nope"}.
		check(t, Spec{FeatureGates: map[string]bool{"Nope": true}}.problems([]imageFacts{facts, facts}))

	_, err = parseImageFacts("a", "kubernetes \n")
	require.ErrorContains(t, err, "image a is not a kind node image")
}
