package outside

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// dns is the name of the cluster's DNS, whatever serves it, and where kubectl says that it is.
const (
	dns     = "kube-dns"
	dnsPath = "/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy"
)

func clusterInfo() suite.Check {
	return suite.Check{
		ID:       area + "cluster-info",
		Sentence: "the cluster's own services are listed, and the apiserver's proxy knows the URL that kubectl prints for each",
		Answers:  []string{"A8", "A9"},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			found, err := s.Client.CoreV1().Services(metav1.NamespaceSystem).
				List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/cluster-service=true"})
			if err != nil {
				return err
			}
			if len(found.Items) == 0 {
				return suite.Skip("no service in kube-system is labelled as one of the cluster's own")
			}
			for _, service := range found.Items {
				path := printed(service)
				e.Note("%s is running at %s%s", service.Name, s.Admin.Host, path)
				if service.Name == dns && path != dnsPath {
					return fmt.Errorf("the URL of the cluster's DNS is %s; it should be %s", path, dnsPath)
				}
				if err := leadsSomewhere(ctx, s, e, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// printed is what `kubectl cluster-info` prints of a service that has no load balancer (k8s.io/kubectl v0.37.2,
// pkg/cmd/clusterinfo/clusterinfo.go).
func printed(service corev1.Service) string {
	name := service.Name
	if len(service.Spec.Ports) > 0 {
		port := service.Spec.Ports[0]
		scheme := ""
		if port.Name == "https" || port.Port == 443 {
			scheme = "https"
		}
		name = utilnet.JoinSchemeNamePort(scheme, service.Name, port.Name)
	}
	return fmt.Sprintf("/api/v1/namespaces/%s/services/%s/proxy", service.Namespace, name)
}

// leadsSomewhere demands that the proxy finds what is behind a URL, whatever that answers.
func leadsSomewhere(ctx context.Context, s *suite.Subject, e *suite.Evidence, path string) error {
	request, err := probe.API(s.Admin, path+"/")
	if err != nil {
		return err
	}
	answer, err := probe.Do(ctx, e, request)
	if err == nil && !reached(path, answer) {
		err = fmt.Errorf("%s leads nowhere: %s", path, answer)
	}
	return err
}

// unreached is in what apiservers say of services that they did not get to (Kubernetes v1.37.1,
// pkg/registry/core/service/storage/storage.go and staging/src/k8s.io/apimachinery/pkg/util/proxy/transport.go).
var unreached = []string{"no service port", "no endpoints available", tried + "dial "}

// tried begins what they say of one that did not answer in HTTP.
const tried = "error trying to reach service: "

// reached tells an answer by a service from one on the way to it. That is certain of DNS alone, which speaks no HTTP: others may
// say of themselves whatever a proxy says.
func reached(path string, answer probe.Answer) bool {
	if answer.Status == http.StatusNotFound && strings.Contains(answer.Body, `"kind":"Status"`) ||
		slices.ContainsFunc(unreached, func(text string) bool { return strings.Contains(answer.Body, text) }) {
		return false
	}
	return path != dnsPath || strings.Contains(answer.Body, tried)
}
