package inpod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// Names of accounts and their pods, and of containers.
const (
	appName    = "in-pod-app"
	readerName = "in-pod-reader"
	optedName  = "in-pod-opted-out"

	kubectl = "kubectl"
	client  = "client"
)

// Where pods find things.
const (
	mounted    = "/var/run/secrets/kubernetes.io/serviceaccount" // (Kubernetes v1.37.1, plugin/pkg/admission/serviceaccount)
	sharedDir  = "/shared"
	kubeconfig = sharedDir + "/config"
	shortDir   = "/short"

	shortSeconds = 600 // the least that the API allows

	proxyPort  = "8001"
	clientPort = 8080
)

func basePod(s *suite.Subject, name string, containers ...corev1.Container) *corev1.Pod {
	pod := s.NewPod(s.LastNode(), name, containers...)
	pod.Spec.AutomountServiceAccountToken = nil // as pods have it by default
	return pod
}

func kubectlContainer(s *suite.Subject) corev1.Container {
	return corev1.Container{
		Name: kubectl, Image: s.Images.Kubectl, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{"kubectl", "proxy", "--port=" + proxyPort},
	}
}

func clientContainer(s *suite.Subject) corev1.Container {
	return corev1.Container{
		Name: client, Image: s.Images.Agnhost, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{"netexec", "--http-port=8080", "--udp-port=-1"},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(clientPort)}},
			PeriodSeconds: 1, TimeoutSeconds: 5,
		},
	}
}

func appPod(s *suite.Subject) *corev1.Pod {
	asking, serving := kubectlContainer(s), clientContainer(s)
	asking.VolumeMounts = []corev1.VolumeMount{{Name: "shared", MountPath: sharedDir}}
	serving.VolumeMounts = []corev1.VolumeMount{{Name: "shared", MountPath: sharedDir}, {Name: "short", MountPath: shortDir}}
	pod := basePod(s, appName, asking, serving)
	pod.Spec.ServiceAccountName = appName
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		shortVolume(otherAudience),
	}
	return pod
}

// shortVolume has a token for an audience, or for the API if that is empty.
func shortVolume(audience string) corev1.Volume {
	return corev1.Volume{Name: "short", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Path: "token", Audience: audience, ExpirationSeconds: new(int64(shortSeconds)),
		}}},
	}}}
}

func readerPod(s *suite.Subject) *corev1.Pod {
	pod := basePod(s, readerName, kubectlContainer(s))
	pod.Spec.ServiceAccountName = readerName
	return pod
}

func optedPod(s *suite.Subject) *corev1.Pod {
	pod := basePod(s, optedName, clientContainer(s))
	pod.Spec.ServiceAccountName = appName
	pod.Spec.AutomountServiceAccountToken = new(false)
	return pod
}
