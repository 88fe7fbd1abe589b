package workload

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	listener   = "listener" // repeats what it hears on its standard input
	server     = "server"   // answers HTTP
	serverPort = 8080
)

// listenScript greets with the node's name, which tells logs of different nodes apart.
const listenScript = `echo "listening on $NODE_NAME"
: >/listening
while read -r line; do echo "heard $line"; done`

func (p Pod) greeting() string { return "listening on " + p.Node }

func (p Pod) manifest(image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.name},
		Spec: corev1.PodSpec{
			NodeName:    p.Node,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			// The shell heeds no request to end.
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{
				{
					Name:            listener,
					Image:           image,
					ImagePullPolicy: corev1.PullIfNotPresent,
					Command:         []string{"sh", "-c", listenScript},
					Stdin:           true,
					Env: []corev1.EnvVar{{
						Name: "NODE_NAME",
						ValueFrom: &corev1.EnvVarSource{
							FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"},
						},
					}},
					ReadinessProbe: readyWhen(corev1.ProbeHandler{
						Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "[ -e /listening ]"}},
					}),
				},
				{
					Name:            server,
					Image:           image,
					ImagePullPolicy: corev1.PullIfNotPresent,
					Args:            []string{"netexec", "--http-port=8080", "--udp-port=-1"},
					ReadinessProbe: readyWhen(corev1.ProbeHandler{
						HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(serverPort)},
					}),
				},
			},
		},
	}
}

func readyWhen(handler corev1.ProbeHandler) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: handler, PeriodSeconds: 1, TimeoutSeconds: 5}
}
