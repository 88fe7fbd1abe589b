package konnectivity

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// CAConfigMap has the CA of every server, each under its node's name.
const CAConfigMap = "konnectivity-ca"

// everyCA is the key in CAConfigMap with the CAs of all servers.
const everyCA = "servers.crt"

// caAnnotation has the digest of what is in it: agents read it once, so others need other pods.
const caAnnotation = "kubecomm.io/ca-sha256"

// runFolder has what a pod is given while it runs.
const runFolder = "/var/run/konnectivity"

const (
	caFolder  = runFolder + "/ca"
	tokenFile = "token/token" // of which the folder is mounted

	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	// agentUser is nobody's, as in upstream's base image (gcr.io/distroless/static:nonroot).
	agentUser = int64(65532)
	// everything makes an agent one by which traffic goes that is for no node.
	everything = "default-route=true"
	// nodesAddress is the end of what makes an agent its node's.
	nodesAddress = "=$(HOST_IP)"
	// tokenSeconds is how long a token is valid. Agents read the current one whenever they connect.
	tokenSeconds = int64(3600)
)

// Cluster is what agents are given by way of the API: a name for themselves, servers to trust, and pods to run in.
type Cluster struct {
	Account *corev1.ServiceAccount
	Binding *rbacv1.ClusterRoleBinding
	// Roles and RoleBindings are for leases, where servers have some, see Options.ServerCount.
	Roles        []*rbacv1.Role
	RoleBindings []*rbacv1.RoleBinding
	CAs          *corev1.ConfigMap
	Service      *corev1.Service
	DaemonSets   []*appsv1.DaemonSet
}

// Objects returns them. Without leases there is no role for agents: all that they do with the API is to show servers their
// token, and what servers ask of it is who an agent is.
func Objects(options Options, servers []Server, workers int) Cluster {
	none := false
	cas := map[string]string{}
	for _, server := range servers {
		cas[server.Node+".crt"] = string(server.CA)
		if options.ServerCount == Leases {
			cas[everyCA] += string(server.CA)
		}
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: Namespace, Labels: labels(AgentAccount)}
	}
	roles, bindings := leaseAccess(options, servers)
	return Cluster{
		Roles: roles, RoleBindings: bindings,
		Account: &corev1.ServiceAccount{ObjectMeta: meta(AgentAccount), AutomountServiceAccountToken: &none},
		Binding: &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: ServerUser, Labels: labels(ServerName)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: ServerUser}},
		},
		CAs: &corev1.ConfigMap{ObjectMeta: meta(CAConfigMap), Data: cas},
		// Only agents that count leases need it to connect: others know each server by its address. It gives servers a name, by
		// which it can be proved that services are reached through the tunnel. Servers without agents aren't ready, but have to
		// be found.
		Service: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: ServerName, Namespace: Namespace, Labels: labels(ServerName)},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"k8s-app": ServerName}, PublishNotReadyAddresses: true,
				Ports: []corev1.ServicePort{{Name: "agents", Port: AgentPort, TargetPort: intstr.FromInt32(AgentPort)}},
			},
		},
		DaemonSets: []*appsv1.DaemonSet{
			daemonSet(AgentAccount, corev1.NodeSelectorOpDoesNotExist, identifiers(options, servers, everything),
				options, servers),
			daemonSet(AgentAccount+"-control-plane", corev1.NodeSelectorOpExists,
				identifiers(options, servers, defaultRoute(workers)), options, servers),
		},
	}
}

// defaultRoute is what makes control planes' agents ones by which traffic goes that is for pods and services: where there are
// workers, nothing. Such traffic would otherwise leave the control plane by its own agent, and go on without a tunnel.
func defaultRoute(workers int) string {
	if workers > 0 {
		return ""
	}
	return everything
}

// identifiers has servers send what is for a node to the agent on it. Which of a node's addresses that is, is for the
// kubelet's --node-ip to say, of which apiservers dial the first too.
func identifiers(options Options, servers []Server, more string) string {
	family := "ipv4"
	if len(servers) > 0 && servers[0].Address.Is6() {
		family = "ipv6"
	}
	all := []string{family + nodesAddress}
	if more != "" {
		all = []string{more, all[0]}
	}
	return strings.Join(slices.Concat(all, options.Identifiers), "&")
}

// daemonSet has an agent on each of the nodes, whatever their taints, by default with a container for each server.
//
// Why not one container for all servers: such an agent dials one address, behind which each connection meets any server, until
// it has met as many as there are said to be, by a flag of theirs or by their leases. kind's load balancer isn't such an
// address, for it forwards the API's port alone; a Service is. But then an agent finds a server that was away by chance:
// of three, each attempt, one a second, misses the one that lacks two times in three, and once in 58 that goes on for longer than
// ten seconds. A container for each server dials it by its own address, depends on neither kube-proxy nor DNS, needs no rights to
// leases, and its readiness tells to which server it is connected. What that costs is a process more for each server, and that
// a control plane that is added or removed changes the pods: who has many prefers Leases.
//
// They are on the node's network, because logs and exec shall work where the node's pod network doesn't, and because only
// there the kubelet's probes reach a loopback address, which is where health, and with it metrics, is told.
func daemonSet(
	name string, onControlPlanes corev1.NodeSelectorOperator, identifiers string, options Options, servers []Server,
) *appsv1.DaemonSet {
	no, seconds, mode := false, int64(5), int32(0o444)
	template := labels(AgentAccount)
	template["kubecomm.io/daemonset"] = name
	var containers []corev1.Container
	digest := sha256.New()
	for i, server := range servers {
		_, _ = digest.Write(server.CA)
		if options.ServerCount != Leases {
			containers = append(containers, container(i, connection{
				name: server.ContainerName(), host: server.Address.String(), ca: server.Node + ".crt",
			}, identifiers, options))
		}
	}
	counts, resolver := options.ServerCount == Leases, corev1.DNSDefault
	if counts {
		resolver = corev1.DNSClusterFirstWithHostNet // which alone knows the Service's name
		agent := container(0, connection{name: EveryServer, host: ServingName, ca: everyCA}, identifiers, options)
		agent.Args = append(agent.Args, "--count-server-leases")
		containers = append(containers, agent)
	}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace, Labels: labels(AgentAccount)},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubecomm.io/daemonset": name}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels: template, Annotations: map[string]string{caAnnotation: hex.EncodeToString(digest.Sum(nil))},
				},
				Spec: corev1.PodSpec{
					ServiceAccountName: AgentAccount, AutomountServiceAccountToken: &counts, EnableServiceLinks: &no,
					HostNetwork: true, DNSPolicy: resolver, PriorityClassName: "system-node-critical", TerminationGracePeriodSeconds: &seconds,
					SecurityContext: &corev1.PodSecurityContext{
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
						RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
							NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
								{Key: controlPlaneLabel, Operator: onControlPlanes},
								{Key: corev1.LabelOSStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"}},
							}}},
						},
					}},
					Containers: containers,
					Volumes: []corev1.Volume{
						{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
							LocalObjectReference: corev1.LocalObjectReference{Name: CAConfigMap}, DefaultMode: &mode,
						}}},
						{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
							Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
								Audience: Audience, ExpirationSeconds: new(tokenSeconds), Path: path.Base(tokenFile),
							}}},
						}}},
					},
				},
			},
		},
	}
}

// connection is what a container of an agent dials, and the file with the CAs by which it knows who is there.
type connection struct{ name, host, ca string }

// container is the part of an agent that is connected to one server, or all of it.
func container(i int, to connection, identifiers string, options Options) corev1.Container {
	health, admin := int32(AgentHealthPort+2*i), int32(AgentHealthPort+2*i+1) //nolint:gosec // there are few servers
	probe := func(at string, period, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Host: loopback, Path: at, Port: intstr.FromInt32(health), Scheme: corev1.URISchemeHTTP,
			}},
			TimeoutSeconds: 5, PeriodSeconds: period, SuccessThreshold: 1, FailureThreshold: failures,
		}
	}
	const livenessPeriod, livenessFailures = 20, 6
	// One that begins while another still ends, as after a deletion by force, finds the port of its health taken, serves, and
	// never tries again to tell so (apiserver-network-proxy v0.36.0, cmd/agent/app/server.go, serveHealth): it is begun anew
	// soon, and not only once liveness has failed for minutes.
	const startPeriod, startFailures = 1, 20
	field := func(name, of string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: of},
		}}
	}
	return corev1.Container{
		Name: to.name, Image: options.Images.Agent, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{
			"--ca-cert=" + caFolder + "/" + to.ca,
			"--proxy-server-host=" + to.host,
			"--proxy-server-port=" + strconv.Itoa(AgentPort),
			"--service-account-token-path=" + runFolder + "/" + tokenFile,
			identifiersFlag + "=" + identifiers,
			keepaliveFlag + "=" + options.keepalive().String(),
			// A server that is away is asked again every second or two, and not ten later.
			"--sync-interval=1s",
			"--sync-interval-cap=2s",
			"--probe-interval=1s",
			"--health-server-host=" + loopback, // which tells metrics, and else does to everybody
			"--health-server-port=" + strconv.Itoa(int(health)),
			"--admin-bind-address=" + loopback,
			"--admin-server-port=" + strconv.Itoa(int(admin)),
			"--v=2",
		},
		Env: []corev1.EnvVar{field("HOST_IP", "status.hostIP"), field("NODE_NAME", "spec.nodeName")},
		// That they are declared keeps the pod off a node where another pod has them.
		Ports: []corev1.ContainerPort{
			{Name: "health-" + strconv.Itoa(i), ContainerPort: health, HostPort: health, Protocol: corev1.ProtocolTCP},
			{Name: "admin-" + strconv.Itoa(i), ContainerPort: admin, HostPort: admin, Protocol: corev1.ProtocolTCP},
		},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("24Mi"),
		}},
		StartupProbe:    probe("/healthz", startPeriod, startFailures),
		LivenessProbe:   probe("/healthz", livenessPeriod, livenessFailures),
		ReadinessProbe:  probe("/readyz", 2, 1),
		SecurityContext: confined(new(agentUser)),
		VolumeMounts: []corev1.VolumeMount{
			{Name: "ca", MountPath: caFolder, ReadOnly: true},
			{Name: "token", MountPath: path.Join(runFolder, path.Dir(tokenFile)), ReadOnly: true},
		},
	}
}
