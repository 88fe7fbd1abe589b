package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// guardName names an admission policy that exists while an apiserver is replaced. An apiserver that ends takes its
// address out of the kubernetes service, also where it is the last one (Kubernetes v1.37.1,
// pkg/controlplane/reconcilers/lease.go, doReconcile), and pods on other nodes would find nobody behind the service's
// address, although a trial answers there. The policy denies leaving the service without an address.
const guardName = "kubecomm-swap-keeps-kubernetes-endpoints"

// guardLimit is how long apiservers may take to obey a new policy. They look for changes every second.
const guardLimit = 30 * time.Second

func guardPolicy() *admissionv1.ValidatingAdmissionPolicy {
	// What can't be evaluated is let through: this must not stand in anybody's way.
	ignore, forbidden := admissionv1.Ignore, metav1.StatusReasonForbidden
	rule := func(group, resource string) admissionv1.NamedRuleWithOperations {
		return admissionv1.NamedRuleWithOperations{
			ResourceNames: []string{"kubernetes"},
			RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Update},
				Rule: admissionv1.Rule{
					APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource},
				},
			},
		}
	}
	validation := func(resource, field string) admissionv1.Validation {
		return admissionv1.Validation{
			Expression: fmt.Sprintf("request.resource.resource != '%[1]s' || "+
				"has(object.%[2]s) && object.%[2]s != null && size(object.%[2]s) > 0", resource, field),
			Message: "the kube-apiserver is being replaced without an outage; its address stays in the kubernetes service",
			Reason:  &forbidden,
		}
	}
	return &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: guardName},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &ignore,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{
				rule("", "endpoints"), rule("discovery.k8s.io", "endpointslices"),
			}},
			Validations: []admissionv1.Validation{
				validation("endpoints", "subsets"), validation("endpointslices", "endpoints"),
			},
		},
	}
}

func guardBinding() *admissionv1.ValidatingAdmissionPolicyBinding {
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: guardName},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        guardName,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": metav1.NamespaceDefault},
			}},
		},
	}
}

// setGuard creates the policy. It takes effect a moment later.
func (s *swap) setGuard(ctx context.Context) error {
	client, err := s.real.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	admission := client.AdmissionregistrationV1()
	_, err = admission.ValidatingAdmissionPolicies().Create(ctx, guardPolicy(), metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		_, err = admission.ValidatingAdmissionPolicyBindings().Create(ctx, guardBinding(), metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the admission policy %s: %w", guardName, err)
	}
	return nil
}

// waitGuarded waits until the apiserver that is to be replaced obeys the policy.
func (s *swap) waitGuarded(ctx context.Context) error {
	client, err := s.real.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	what := fmt.Sprintf("the kube-apiserver on node %s to obey the admission policy %s", s.real.node.Name(), guardName)
	return wait.Until(ctx, what, wait.Options{Limit: guardLimit}, func(ctx context.Context) error {
		slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
		slice, err := slices.Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return err
		}
		slice.Endpoints = nil
		_, err = slices.Update(ctx, slice, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			return errors.New("it would let the kubernetes service be emptied; is its admission plugin " +
				"ValidatingAdmissionPolicy switched off?")
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), guardName):
			return nil
		}
		return err
	})
}

// removeGuard asks an instance that serves to remove the policy. After its node was away, it may serve a moment later.
func (s *swap) removeGuard(ctx context.Context) error {
	client, err := s.real.client(ctx, s.target)
	if err != nil {
		return err
	}
	defer client.close()
	admission := client.AdmissionregistrationV1()
	what := "the admission policy " + guardName + " to be removed"
	return wait.Until(ctx, what, wait.Options{Limit: apiLimit, Every: time.Second}, func(ctx context.Context) error {
		return errors.Join(
			ignoreNotFound(admission.ValidatingAdmissionPolicyBindings().Delete(ctx, guardName, metav1.DeleteOptions{})),
			ignoreNotFound(admission.ValidatingAdmissionPolicies().Delete(ctx, guardName, metav1.DeleteOptions{})),
		)
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
