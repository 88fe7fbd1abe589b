package konnectivity

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
	"sigs.k8s.io/yaml"
)

func options() Options { return Options{Images: Images{}.OrDefault(37), Keepalive: time.Minute} }

func servers(addresses ...string) []Server {
	var found []Server
	for i, address := range addresses {
		name := "dev-control-plane" + []string{"", "2", "3"}[i]
		found = append(found, Server{Node: name, Address: netip.MustParseAddr(address), CA: []byte("CA of " + name)})
	}
	return found
}

func TestImagesAreThoseThatTheVersionOfKubernetesPins(t *testing.T) {
	for minor, tag := range map[uint]string{33: "v0.31.2", 34: "v0.31.2", 35: "v0.31.2", 36: "v0.34.0", 37: "v0.36.0", 38: "v0.36.0"} {
		images := Images{}.OrDefault(minor)
		require.Equal(t, "registry.k8s.io/kas-network-proxy/proxy-server:"+tag, images.Server, minor)
		require.Equal(t, "registry.k8s.io/kas-network-proxy/proxy-agent:"+tag, images.Agent, minor)
	}
	own := Images{Server: "registry.example/server:1"}.OrDefault(37)
	require.Equal(t, "registry.example/server:1", own.Server, "what is given stays")
	require.Contains(t, own.Agent, "proxy-agent:v0.36.0")
}

func TestAServerIsToldOfATLSFloorWhereItUnderstandsOne(t *testing.T) {
	tests := map[string]struct {
		image string
		told  bool
	}{
		"a version that knows of it":       {"registry.k8s.io/kas-network-proxy/proxy-server:v0.36.0", true},
		"the first that does":              {"registry.k8s.io/kas-network-proxy/proxy-server:v0.35.0", true},
		"one that would not start with it": {"registry.k8s.io/kas-network-proxy/proxy-server:v0.34.0", false},
		"one with a digest":                {"registry.example:5000/server:v0.31.2@sha256:0123", false},
		"one of one's own making":          {"registry.example:5000/server:mine", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Images.Server, o.TLSMinVersion = test.image, "VersionTLS13"
			require.Equal(t, test.told, slices.Contains(serverArguments(o), "--tls-min-version=VersionTLS13"))
		})
	}
	require.NotContains(t, strings.Join(serverArguments(options()), " "), "tls-min-version", "none is declared")
}

func TestTheEgressSelectionIsForTrafficToTheClusterAlone(t *testing.T) {
	var found v1beta1.EgressSelectorConfiguration
	require.NoError(t, yaml.UnmarshalStrict(EgressSelection(), &found))
	require.Len(t, found.EgressSelections, 1)
	cluster := found.EgressSelections[0]
	require.Equal(t, "cluster", cluster.Name)
	require.Equal(t, v1beta1.ProtocolGRPC, cluster.Connection.ProxyProtocol)
	require.Equal(t, Socket, cluster.Connection.Transport.UDS.UDSName)
}

func TestAServersManifestIsAnotherWhenItsFilesAre(t *testing.T) {
	first, err := ServerManifest(options(), "cp", []byte("certificate"), []byte("client"))
	require.NoError(t, err)
	again, err := ServerManifest(options(), "cp", []byte("certificate"), []byte("client"))
	require.NoError(t, err)
	require.Equal(t, string(first), string(again))
	other, err := ServerManifest(options(), "cp", []byte("certificat"), []byte("eclient"))
	require.NoError(t, err)
	require.NotEqual(t, string(first), string(other))
}

func TestAServersPodHasNoMoreThanItNeeds(t *testing.T) {
	data, err := ServerManifest(options(), "dev-control-plane")
	require.NoError(t, err)
	var pod corev1.Pod
	require.NoError(t, yaml.UnmarshalStrict(data, &pod))
	require.NotContains(t, string(data), "status:")
	container := pod.Spec.Containers[0]
	requireConfined(t, container)
	require.Contains(t, container.Args, "--health-bind-address=127.0.0.1")
	require.Contains(t, container.Args, "--admin-bind-address=127.0.0.1")
	require.Contains(t, container.Args, "--kubeconfig="+Kubeconfig)
	for _, volume := range pod.Spec.Volumes {
		for _, file := range []string{CAKey, CACert} {
			require.False(t, strings.HasPrefix(file, volume.HostPath.Path+"/"), "it sees the key of its CA")
		}
	}
	for _, file := range []string{ServingKey, ClientKey} {
		require.False(t, strings.HasPrefix(file, SocketFolder+"/"), "apiservers see keys that aren't theirs")
	}
}

func requireConfined(t *testing.T, container corev1.Container) {
	t.Helper()
	context := container.SecurityContext
	require.False(t, *context.AllowPrivilegeEscalation)
	require.True(t, *context.ReadOnlyRootFilesystem)
	require.Equal(t, []corev1.Capability{"ALL"}, context.Capabilities.Drop)
	require.Empty(t, context.Capabilities.Add)
	require.Nil(t, context.Privileged)
}

func TestEveryServerHasAnAgentOfItsOwnOnEveryNode(t *testing.T) {
	objects := Objects(options(), servers("172.18.0.2", "172.18.0.3", "172.18.0.4"), 1)
	require.Len(t, objects.DaemonSets, 2)
	ports := map[int32]bool{AgentPort: true, AdminPort: true, HealthPort: true}
	for _, container := range objects.DaemonSets[0].Spec.Template.Spec.Containers {
		for _, port := range container.Ports {
			require.False(t, ports[port.ContainerPort], "port %d is there twice", port.ContainerPort)
			ports[port.ContainerPort] = true
		}
	}
	for _, set := range objects.DaemonSets {
		pod := set.Spec.Template.Spec
		require.Equal(t, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations, "no taint keeps it off")
		require.False(t, *pod.AutomountServiceAccountToken)
		require.Len(t, pod.Containers, 3)
		for i, address := range []string{"172.18.0.2", "172.18.0.3", "172.18.0.4"} {
			container := pod.Containers[i]
			requireConfined(t, container)
			require.True(t, *container.SecurityContext.RunAsNonRoot)
			require.Contains(t, container.Args, "--proxy-server-host="+address)
			require.Contains(t, container.Args, "--health-server-host=127.0.0.1")
			require.Contains(t, container.Args, "--admin-bind-address=127.0.0.1")
		}
		projection := pod.Volumes[1].Projected.Sources[0].ServiceAccountToken
		require.Equal(t, Audience, projection.Audience)
	}
	require.Equal(t, "CA of dev-control-plane2", objects.CAs.Data["dev-control-plane2.crt"])
	require.Equal(t, "system:auth-delegator", objects.Binding.RoleRef.Name)
	require.Equal(t, ServerUser, objects.Binding.Subjects[0].Name)
}

func TestTrafficForPodsLeavesAControlPlaneByItsOwnAgentOnlyWhereThereIsNoOther(t *testing.T) {
	tests := map[string]struct {
		servers                []Server
		workers                int
		onWorkers, onTheOthers string
	}{
		"IPv4 with workers": {
			servers("172.18.0.2"), 1, "default-route=true&ipv4=$(HOST_IP)&host=a", "ipv4=$(HOST_IP)&host=a",
		},
		"IPv6 with workers": {
			servers("fc00::2"), 2, "default-route=true&ipv6=$(HOST_IP)&host=a", "ipv6=$(HOST_IP)&host=a",
		},
		"no workers": {
			servers("172.18.0.2"), 0, "default-route=true&ipv4=$(HOST_IP)&host=a", "default-route=true&ipv4=$(HOST_IP)&host=a",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Identifiers = []string{"host=a"}
			sets := Objects(o, test.servers, test.workers).DaemonSets
			for i, want := range []string{test.onWorkers, test.onTheOthers} {
				require.Contains(t, sets[i].Spec.Template.Spec.Containers[0].Args, "--agent-identifiers="+want)
			}
		})
	}
}

func TestAgentsThatCountLeasesAreOneContainerAndServersKeepTheirs(t *testing.T) {
	o := options()
	o.ServerCount = Leases
	all := servers("172.18.0.2", "172.18.0.3")
	objects := Objects(o, all, 1)
	for _, set := range objects.DaemonSets {
		pod := set.Spec.Template.Spec
		require.Len(t, pod.Containers, 1)
		require.Contains(t, pod.Containers[0].Args, "--count-server-leases")
		require.Contains(t, pod.Containers[0].Args, "--proxy-server-host="+ServingName)
		require.Contains(t, pod.Containers[0].Args, "--ca-cert="+caFolder+"/"+everyCA)
		require.True(t, *pod.AutomountServiceAccountToken, "it lists leases")
		require.Equal(t, corev1.DNSClusterFirstWithHostNet, pod.DNSPolicy)
	}
	require.Equal(t, "CA of dev-control-planeCA of dev-control-plane2", objects.CAs.Data[everyCA])
	require.Len(t, objects.Roles, 2)
	for _, role := range objects.Roles {
		for _, rule := range role.Rules {
			require.Equal(t, []string{"leases"}, rule.Resources)
			if slices.Contains(rule.Verbs, "delete") || slices.Contains(rule.Verbs, "update") {
				require.Equal(t, []string{LeaseName("dev-control-plane"), LeaseName("dev-control-plane2")}, rule.ResourceNames,
					"other components have leases there too")
			}
		}
	}
	manifest, err := ServerManifest(o, "dev-control-plane")
	require.NoError(t, err)
	require.Contains(t, string(manifest), "--enable-lease-controller")
	require.Contains(t, string(manifest), "--server-id=dev-control-plane\n")

	require.Empty(t, Objects(options(), all, 1).Roles, "nobody needs leases otherwise")
	manifest, err = ServerManifest(options(), "dev-control-plane")
	require.NoError(t, err)
	require.NotContains(t, string(manifest), "lease")
}

func TestWhatRunsIsReadBackAsItWasDeclared(t *testing.T) {
	for _, count := range []ServerCount{PerServer, Leases} {
		want := options()
		want.ServerCount, want.Keepalive, want.Identifiers = count, 2*time.Minute, []string{"default-route=true", "host=a"}
		manifest, err := ServerManifest(want, "dev-control-plane")
		require.NoError(t, err)
		server, err := ReadServer(manifest)
		require.NoError(t, err)
		require.Equal(t, Options{Images: Images{Server: want.Images.Server}, Keepalive: want.Keepalive}, server)
		for _, set := range Objects(want, servers("172.18.0.2", "172.18.0.3"), 1).DaemonSets {
			agents, ok := ReadAgents(set)
			require.True(t, ok)
			require.Equal(t, Options{
				Images: Images{Agent: want.Images.Agent}, Keepalive: want.Keepalive, Identifiers: want.Identifiers, ServerCount: count,
			}, agents)
		}
	}
	_, err := ReadServer([]byte("kind: Pod"))
	require.ErrorContains(t, err, "has no container")
	_, ok := ReadAgents(nil)
	require.False(t, ok)
}

func TestAgentsAreOthersWhenACAIs(t *testing.T) {
	before := Objects(options(), servers("172.18.0.2"), 1).DaemonSets[0]
	renewed := servers("172.18.0.2")
	renewed[0].CA = []byte("another CA")
	after := Objects(options(), renewed, 1).DaemonSets[0]
	require.NotEqual(t, before.Spec.Template.Annotations, after.Spec.Template.Annotations)
}

func TestAKubeconfigNamesFilesAndHoldsNoKey(t *testing.T) {
	text := string(KubeconfigOf(netip.MustParseAddrPort("[fc00::2]:6443"), "kubernetes.default.svc"))
	require.Contains(t, text, "server: https://[fc00::2]:6443")
	require.Contains(t, text, "client-key: "+ClientKey)
	require.NotContains(t, text, "-data")
}
