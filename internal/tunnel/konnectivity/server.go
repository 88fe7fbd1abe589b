package konnectivity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// filesAnnotation has the digest of a server's files: it reads them once, so others need another pod.
const filesAnnotation = "kubecomm.io/files-sha256"

// ServerManifest is the static pod of a control plane's server, that runs with files of this content. However many control
// planes there are, no server is told: agents know, by one of the ways of Options.ServerCount.
func ServerManifest(options Options, node string, files ...[]byte) ([]byte, error) {
	digest := sha256.New()
	for _, file := range files {
		_, _ = fmt.Fprintf(digest, "%d\n", len(file))
		_, _ = digest.Write(file)
	}
	seconds := int64(1)
	arguments := serverArguments(options)
	if options.ServerCount == Leases {
		arguments = append(arguments, "--enable-lease-controller", "--server-id="+node)
	}
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Host: loopback, Path: path, Port: intstr.FromInt32(HealthPort), Scheme: corev1.URISchemeHTTP,
			}},
			TimeoutSeconds: 15, PeriodSeconds: 10, FailureThreshold: 8,
		}
	}
	hostPath := func(name, path string, kind corev1.HostPathType) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind},
		}}
	}
	pod := corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: ServerName, Namespace: Namespace, Labels: labels(ServerName),
			Annotations: map[string]string{filesAnnotation: hex.EncodeToString(digest.Sum(nil))},
		},
		Spec: corev1.PodSpec{
			HostNetwork: true, PriorityClassName: "system-node-critical", TerminationGracePeriodSeconds: &seconds,
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: ServerName, Image: options.Images.Server, ImagePullPolicy: corev1.PullIfNotPresent,
				Args: arguments,
				Ports: []corev1.ContainerPort{
					{Name: "agents", ContainerPort: AgentPort, HostPort: AgentPort},
				},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("25m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
				}},
				LivenessProbe: probe("/healthz"),
				// It is root, as the components are that kubeadm makes: its keys, and the socket, are root's. Beyond that, it
				// may do nothing.
				SecurityContext: confined(nil),
				VolumeMounts: []corev1.VolumeMount{
					{Name: "files", MountPath: servingFolder, ReadOnly: true},
					{Name: "socket", MountPath: SocketFolder},
				},
			}},
			Volumes: []corev1.Volume{
				hostPath("files", servingFolder, corev1.HostPathDirectory),
				hostPath("socket", SocketFolder, corev1.HostPathDirectoryOrCreate),
			},
		},
	}
	// A manifest that says something of the pod's status is refused by nobody, and looks as if it meant anything.
	data, err := yaml.Marshal(struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              corev1.PodSpec `json:"spec"`
	}{pod.TypeMeta, pod.ObjectMeta, pod.Spec})
	if err != nil {
		return nil, fmt.Errorf("writing the manifest of %s: %w", ServerName, err)
	}
	return data, nil
}

// confined is the security context of who needs no right that the kernel gives. Without a user, it stays the image's.
func confined(user *int64) *corev1.SecurityContext {
	yes, no := true, false
	context := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if user != nil {
		context.RunAsUser, context.RunAsGroup, context.RunAsNonRoot = user, user, &yes
	} else {
		root := int64(0)
		context.RunAsUser = &root
	}
	return context
}

func serverArguments(options Options) []string {
	arguments := []string{
		"--mode=grpc",
		"--uds-name=" + Socket,
		"--delete-existing-uds-file=true",
		"--server-port=0",
		"--cluster-cert=" + ServingCert,
		"--cluster-key=" + ServingKey,
		"--agent-port=" + strconv.Itoa(AgentPort),
		"--admin-bind-address=" + loopback,
		"--admin-port=" + strconv.Itoa(AdminPort),
		"--health-bind-address=" + loopback, // which tells metrics, and else does to everybody
		"--health-port=" + strconv.Itoa(HealthPort),
		"--agent-namespace=" + Namespace,
		"--agent-service-account=" + AgentAccount,
		"--authentication-audience=" + Audience,
		"--kubeconfig=" + Kubeconfig,
		keepaliveFlag + "=" + options.keepalive().String(),
		// What is for a node goes to its own agent. Without `default` as the last resort: that would be any agent, also the
		// control plane's own, which would go on without a tunnel.
		"--proxy-strategies=destHost,defaultRoute",
		"--server-count=1",
		"--v=2",
	}
	if options.TLSMinVersion != "" && takesTLSFloor(options.Images.Server) {
		arguments = append(arguments, "--tls-min-version="+options.TLSMinVersion)
	}
	return arguments
}

// KubeconfigOf has a server ask the apiserver at an address of its control plane who an agent is.
func KubeconfigOf(server netip.AddrPort, serverName string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    server: https://%s
    tls-server-name: %s
    certificate-authority: %s
users:
- name: %[4]s
  user:
    client-certificate: %[5]s
    client-key: %[6]s
contexts:
- name: kubernetes
  context:
    cluster: kubernetes
    user: %[4]s
current-context: kubernetes
`, server, serverName, ClusterCA, ServerUser, ClientCert, ClientKey)
}

// FilePaths are a server's files, in the order in which they are written: its manifest comes last.
func FilePaths() []string {
	return []string{CAKey, CACert, ServingKey, ServingCert, ClientKey, ClientCert, ClusterCA, Kubeconfig, Manifest}
}
