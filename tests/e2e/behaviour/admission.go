package behaviour

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func admissionPairs() []Pair {
	return []Pair{
		{
			Setting: "apiserver.admission_plugins",
			Shows:   "with NodeRestriction, a kubelet can't label another node",
			Values:  Values{First: {"DefaultStorageClass"}, Second: {"NodeRestriction", "DenyServiceExternalIPs"}},
			Answers: Answers{
				First:  "its own node: " + accepted + ", another node: " + accepted,
				Second: "its own node: " + accepted + ", another node: " + nodeRestriction,
			},
			ask: labelNodes,
		},
		{
			Setting: "apiserver.disabled_admission_plugins",
			Shows:   "without DefaultTolerationSeconds, a pod is left as it was declared",
			Values:  Values{Second: {"DefaultTolerationSeconds"}},
			Answers: Answers{
				Before: "node.kubernetes.io/not-ready:NoExecute node.kubernetes.io/unreachable:NoExecute",
				Second: "no toleration",
			},
			ask: findTolerations,
		},
	}
}

// clientCertificateFile is the one by which kubelets authenticate at the apiserver, with its key.
const clientCertificateFile = "/var/lib/kubelet/pki/kubelet-client-current.pem"

// nodeRestriction is what the plugin says (Kubernetes v1.37.1, plugin/pkg/admission/noderestriction/admission.go), not
// what an authorizer would.
const nodeRestriction = "is not allowed to modify node"

// labelNodes tries with the credentials of the worker's kubelet, and changes nothing.
func labelNodes(ctx context.Context, lab *Lab) (string, error) {
	file, err := lab.worker().ReadFile(ctx, clientCertificateFile)
	if err != nil {
		return "", err
	}
	config := rest.AnonymousClientConfig(lab.admin)
	config.CertData, config.KeyData = file.Data, file.Data
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	patch := []byte(`{"metadata":{"labels":{"example.com/labelled-by":"kubelet"}}}`)
	options := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}
	var answers together
	for _, node := range []struct{ called, name string }{
		{"its own node", lab.worker().Name()}, {"another node", lab.controlPlane().Name()},
	} {
		_, err := client.CoreV1().Nodes().Patch(ctx, node.name, types.MergePatchType, patch, options)
		if err != nil && strings.Contains(err.Error(), nodeRestriction) {
			answers.add(node.called, nodeRestriction)
			continue
		}
		answer, err := verdict(err)
		if err != nil {
			return "", err
		}
		answers.add(node.called, answer)
	}
	return answers.String(), nil
}

// findTolerations returns those that the API gives a pod that declares none. The pod is never made.
func findTolerations(ctx context.Context, lab *Lab) (string, error) {
	account, err := lab.account(ctx, strangers)
	if err != nil {
		return "", err
	}
	pod, err := lab.client.CoreV1().Pods(strangers).Create(ctx, lab.sleeper(account),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", err
	}
	var found []string
	for _, toleration := range pod.Spec.Tolerations {
		found = append(found, fmt.Sprintf("%s:%s", toleration.Key, toleration.Effect))
	}
	if len(found) == 0 {
		return "no toleration", nil
	}
	return strings.Join(found, " "), nil
}

// sleeper is a pod for the worker that does nothing.
func (l *Lab) sleeper(account *corev1.ServiceAccount) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name},
		Spec: corev1.PodSpec{
			NodeName:           l.worker().Name(),
			ServiceAccountName: account.Name,
			Containers: []corev1.Container{{
				Name: "sleeper", Image: l.image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"pause"},
			}},
		},
	}
}
