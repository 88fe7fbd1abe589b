package mutation

import (
	"context"
	"errors"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// object is what all that is made here is called.
const object = "kubecomm-mutation-sabotage"

// objects are what is wrong with objects of the API.
func objects() []sabotage {
	authenticated := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:authenticated"}
	unauthenticated := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:unauthenticated"}
	return []sabotage{
		{
			name: "an account may get nodes/proxy", do: grant(reads("nodes/proxy"), rbacv1.Subject{
				Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: "default",
			}),
			fails: in("kubelet-api", "nobody-holds-nodes-proxy"),
		},
		{
			name: "everybody may get nodes/proxy", do: grant(reads("nodes/proxy"), authenticated),
			fails: ids(in("kubelet-api", "nobody-holds-nodes-proxy", "only-*"), in("proxy-paths", "nodes-forbidden"),
				in("control-plane", "bootstrap-token-only-joins")),
		},
		{
			name: "everybody may get nodes/metrics", do: grant(reads("nodes/metrics"), authenticated),
			fails: in("kubelet-api", "no-rights", "only-pods", "only-healthz", "only-configz"),
		},
		{
			name: "everybody may get pods/proxy", do: grant(reads("pods/proxy"), authenticated), fails: in("proxy-paths", "pods-forbidden"),
		},
		{
			name: "everybody may get services/proxy", do: grant(reads("services/proxy"), authenticated),
			fails: in("proxy-paths", "services-forbidden"),
		},
		{
			name: "every account may list secrets", do: grant(reads("secrets"), rbacv1.Subject{
				Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:serviceaccounts",
			}),
			fails: in("in-pod", "unauthorized-account"),
		},
		{
			name: "strangers may read metrics", do: grant(rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}, unauthenticated),
			fails: in("control-plane", "controller-manager-strangers", "scheduler-strangers"),
		},
		{
			name: "strangers may read pods", do: grant(reads("pods"), unauthenticated),
			fails: ids(in("control-plane", "anonymous-elsewhere"), in("outside", "no-token")),
		},
		{
			name: "kubelets may read every node and secret", do: grant(reads("nodes", "secrets"), rbacv1.Subject{
				Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:nodes",
			}),
			fails: in("control-plane", "node-reads-own-node-only", "node-reads-own-secrets-only"),
		},
		{
			name: "everybody may do everything", do: grant(rbacv1.PolicyRule{
				APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}, Verbs: []string{rbacv1.VerbAll},
			}, authenticated),
			fails: ids(in("control-plane", "node-reads-own-*", "bootstrap-token-only-joins"), in("proxy-paths", "*-forbidden"),
				in("kubelet-api", "no-rights", "only-*", "nobody-holds-nodes-proxy"), in("in-pod", "unauthorized-account")),
		},
		{
			name: "who joins may read every node", do: grant(reads("nodes"), rbacv1.Subject{
				Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:bootstrappers:kubeadm:default-node-token",
			}),
			fails: in("control-plane", "bootstrap-token-only-joins"),
		},
		{
			name: "every request for a certificate is approved", during: approveEverything,
			fails: in("control-plane", "bootstrap-certificate-only-of-nodes"),
		},
		{
			// Kubelets ask apiservers how they are as anybody else does, and end one that doesn't say so in time.
			name: "strangers may not ask how apiservers are", do: unbindPublicInfo, only: in("control-plane", "anonymous-health", "anonymous-elsewhere"),
			fails: in("control-plane", "anonymous-health"),
		},
		{
			name: "no DNS", do: withoutDNS,
			fails: ids(in("in-pod", "by-dns", "wrong-root-certificate"), in("outside", "service-name", "cluster-info")),
		},
		{
			name: "no kube-proxy that knows new services", do: withoutKubeProxy,
			fails: in("outside", "node-port", "cluster-ip", "service-name"),
		},
		{
			name: "the service kubernetes has an endpoint where no apiserver is", do: strayEndpoint,
			fails: in("in-pod", "endpoints"),
		},
		{
			name: "an admission webhook that nobody answers", do: deadWebhook,
			fails: in("aftermath", "no-new-errors"),
		},
	}
}

func reads(resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: resources, Verbs: []string{"get", "list"}}
}

// grant lets a subject do something, and returns when authorizers know.
func grant(rule rbacv1.PolicyRule, subject rbacv1.Subject) func(context.Context, *lab) (undo, error) {
	return func(ctx context.Context, l *lab) (undo, error) {
		meta := metav1.ObjectMeta{Name: object}
		roles, bindings := l.client.RbacV1().ClusterRoles(), l.client.RbacV1().ClusterRoleBindings()
		undo := func(ctx context.Context) error {
			return errors.Join(
				bindings.Delete(ctx, object, metav1.DeleteOptions{}), roles.Delete(ctx, object, metav1.DeleteOptions{}))
		}
		if _, err := roles.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
		_, err := bindings.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, Subjects: []rbacv1.Subject{subject},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: object},
		}, metav1.CreateOptions{})
		return undo, err
	}
}

func unbindPublicInfo(ctx context.Context, l *lab) (undo, error) {
	const name = "system:public-info-viewer"
	bindings := l.client.RbacV1().ClusterRoleBindings()
	found, err := bindings.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	before := found.Subjects
	set := func(ctx context.Context, subjects []rbacv1.Subject) error {
		found, err := bindings.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Subjects = subjects
		_, err = bindings.Update(ctx, found, metav1.UpdateOptions{})
		return err
	}
	var others []rbacv1.Subject
	for _, subject := range before {
		if subject.Name != "system:unauthenticated" {
			others = append(others, subject)
		}
	}
	return func(ctx context.Context) error { return set(ctx, before) }, set(ctx, others)
}

func withoutDNS(ctx context.Context, l *lab) (undo, error) {
	deployments := l.client.AppsV1().Deployments(metav1.NamespaceSystem)
	found, err := deployments.Get(ctx, "coredns", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	before := *found.Spec.Replicas
	scale := func(ctx context.Context, replicas int32) error {
		found, err := deployments.Get(ctx, "coredns", metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Spec.Replicas = &replicas
		if _, err := deployments.Update(ctx, found, metav1.UpdateOptions{}); err != nil {
			return err
		}
		return wait.Until(ctx, "coredns to be scaled", wait.Options{Limit: undoLimit}, func(ctx context.Context) error {
			found, err := deployments.Get(ctx, "coredns", metav1.GetOptions{})
			if err != nil {
				return err
			}
			pods, err := l.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
			if err == nil && (len(pods.Items) != int(replicas) || found.Status.ReadyReplicas != replicas) {
				err = errNotYet
			}
			return err
		})
	}
	return func(ctx context.Context) error { return scale(ctx, before) }, scale(ctx, 0)
}

var errNotYet = errors.New("not yet")

func withoutKubeProxy(ctx context.Context, l *lab) (undo, error) {
	sets := l.client.AppsV1().DaemonSets(metav1.NamespaceSystem)
	patch := func(ctx context.Context, text string) error {
		_, err := sets.Patch(ctx, "kube-proxy", types.JSONPatchType, []byte(text), metav1.PatchOptions{})
		return err
	}
	settled := func(ctx context.Context, wanted func(desired, ready, there int) bool) error {
		return wait.Until(ctx, "kube-proxy's pods", wait.Options{Limit: undoLimit}, func(ctx context.Context) error {
			found, err := sets.Get(ctx, "kube-proxy", metav1.GetOptions{})
			if err != nil {
				return err
			}
			pods, err := l.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-proxy"})
			if err == nil && (found.Status.ObservedGeneration < found.Generation ||
				!wanted(int(found.Status.DesiredNumberScheduled), int(found.Status.NumberReady), len(pods.Items))) {
				err = errNotYet
			}
			return err
		})
	}
	undo := func(ctx context.Context) error {
		err := patch(ctx, `[{"op":"remove","path":"/spec/template/spec/nodeSelector/kubecomm.dev~1nowhere"}]`)
		return errors.Join(err, settled(ctx, func(desired, ready, there int) bool { return desired > 0 && desired == ready && desired == there }))
	}
	err := patch(ctx, `[{"op":"add","path":"/spec/template/spec/nodeSelector/kubecomm.dev~1nowhere","value":"true"}]`)
	if err != nil {
		return nil, err
	}
	// A pod that has yet to end would be gone in the eyes of the run.
	return undo, settled(ctx, func(desired, _, there int) bool { return desired == 0 && there == 0 })
}

func strayEndpoint(ctx context.Context, l *lab) (undo, error) {
	endpoints := l.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	_, err := endpoints.Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: object, Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(6443)), Protocol: new(corev1.ProtocolTCP)}},
		// It isn't ready, so that nobody is led there.
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{l.worker().Addresses()[0].String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)},
		}},
	}, metav1.CreateOptions{})
	return func(ctx context.Context) error { return endpoints.Delete(ctx, object, metav1.DeleteOptions{}) }, err
}

func deadWebhook(ctx context.Context, l *lab) (undo, error) {
	webhooks := l.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := webhooks.Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: object},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "dead.kubecomm.dev", AdmissionReviewVersions: []string{"v1"},
			SideEffects: new(admissionv1.SideEffectClassNone), FailurePolicy: new(admissionv1.Ignore),
			ClientConfig: admissionv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
			}},
		}},
	}, metav1.CreateOptions{})
	return func(ctx context.Context) error { return webhooks.Delete(ctx, object, metav1.DeleteOptions{}) }, err
}

// approveEverything approves what is requested until the run has ended, as a careless approver does.
func approveEverything(ctx context.Context, l *lab) error {
	requests := l.client.CertificatesV1().CertificateSigningRequests()
	_ = wait.Until(ctx, "the run to end", wait.Options{Limit: caseLimit}, func(ctx context.Context) error {
		found, err := requests.List(ctx, metav1.ListOptions{LabelSelector: suite.RunLabel})
		if err != nil {
			return err
		}
		for _, request := range found.Items {
			if len(request.Status.Conditions) > 0 {
				continue
			}
			request.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{
				Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Careless",
			}}
			if _, err := requests.UpdateApproval(ctx, request.Name, &request, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return errNotYet
	})
	return nil // nothing but the run's end ends it, and what it should have brought about the run shows
}
