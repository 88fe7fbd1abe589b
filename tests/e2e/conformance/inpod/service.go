package inpod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func names(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	domain := "cluster.local"
	found, err := s.KubeletField(ctx, s.LastNode(), "clusterDomain")
	if err != nil {
		return err
	}
	if told, ok := found.(string); ok && told != "" {
		domain = strings.TrimSuffix(told, ".")
	}
	service, err := s.Client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	request, err := probe.API(s.Admin, "/version")
	if err != nil {
		return err
	}
	if request.TLS == nil || request.TLS.InsecureSkipVerify {
		return suite.Skip("the kubeconfig names no root certificate to verify the apiserver by")
	}
	answer, err := probe.Do(ctx, e, request)
	if err != nil {
		return err
	}
	if answer.Certificate == nil {
		return fmt.Errorf("%s showed no certificate", request.URL)
	}
	e.Note("%s", probe.Describe(answer.Certificate))
	wanted := append([]string{"kubernetes", "kubernetes.default", dnsName, dnsName + "." + domain}, service.Spec.ClusterIPs...)
	var problems []error
	for _, name := range wanted {
		problems = append(problems, answer.Certificate.VerifyHostname(name))
	}
	return errors.Join(problems...)
}

func endpoints(ctx context.Context, s *suite.Subject, e *suite.Evidence, made *bed) error {
	slicesFound, err := s.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=kubernetes",
	})
	if err != nil {
		return err
	}
	var addresses []string
	for _, slice := range slicesFound.Items {
		for _, port := range slice.Ports {
			if port.Port == nil {
				return fmt.Errorf("the endpoint slice %s has a port without a number", slice.Name)
			}
			for _, endpoint := range slice.Endpoints {
				for _, address := range endpoint.Addresses {
					addresses = append(addresses, address)
					// By its own address, but under the service's name: which others are in its certificate is no matter here.
					at := net.JoinHostPort(address, fmt.Sprint(*port.Port))
					err := made.version(ctx, s, e, "--kubeconfig="+kubeconfig, "--context="+byDNS,
						"--server=https://"+at, "--tls-server-name="+dnsName)
					if err != nil {
						return fmt.Errorf("the endpoint %s: %w", at, err)
					}
				}
			}
		}
	}
	if len(addresses) == 0 {
		return errors.New("the service kubernetes has no endpoints")
	}
	for _, node := range s.Nodes {
		listed := func(address string) bool { return slices.Contains(addresses, address) }
		if node.ControlPlane && !slices.ContainsFunc(node.Addresses, listed) {
			return fmt.Errorf("the service kubernetes leads to %s, none of which is control plane %s (%s)",
				strings.Join(addresses, ", "), node.Name, strings.Join(node.Addresses, ", "))
		}
	}
	return nil
}
