package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (n Networking) problems() []Problem {
	at := Path{"networking"}
	problems := IPFamilies.problem(at.at("ip_family"), n.IPFamily)
	problems = append(problems, KubeProxyModes.problem(at.at("kube_proxy_mode"), n.KubeProxyMode)...)
	problems = append(problems, portProblems(at.at("api_server_port"), n.APIServerPort)...)
	if n.APIServerAddress != "" {
		if _, err := netip.ParseAddr(n.APIServerAddress); err != nil {
			problems = append(problems, Problem{at.at("api_server_address"), fmt.Sprintf("%q is not an IP address.",
				n.APIServerAddress)})
		}
	}
	if len(problems) > 0 {
		return problems // the IP family decides which subnets are right
	}
	effective := Spec{Networking: n}.config().Networking
	pods, podProblems := n.subnets(at.at("pod_subnet"), effective.PodSubnet)
	services, serviceProblems := n.subnets(at.at("service_subnet"), effective.ServiceSubnet)
	if problems := slices.Concat(podProblems, serviceProblems); len(problems) > 0 {
		return problems
	}
	if n.ServiceSubnet == "" {
		return overlapProblems(at.at("pod_subnet"), pods, services)
	}
	return overlapProblems(at.at("service_subnet"), pods, services)
}

// subnets reads a comma-separated list as kind does: one subnet of the IP family, or for dual-stack one of either
// family or one of each (v0.33.0, pkg/internal/apis/config/validate.go).
func (n Networking) subnets(at Path, text string) ([]netip.Prefix, []Problem) {
	var subnets []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		subnet, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, []Problem{{at, fmt.Sprintf("%q is not a subnet in CIDR notation, such as `10.244.0.0/16`.", part)}}
		}
		subnets = append(subnets, subnet.Masked())
	}
	refuse := func(format string, args ...any) ([]netip.Prefix, []Problem) {
		return nil, []Problem{{at, fmt.Sprintf(format, args...)}}
	}
	first := subnets[0].Addr()
	switch {
	case n.IPFamily == dualStack && len(subnets) == 1:
	case n.IPFamily == dualStack && len(subnets) == 2 && first.Is4() != subnets[1].Addr().Is4():
	case n.IPFamily == dualStack:
		return refuse("%q is not right for dual-stack networking, which takes one subnet, or two subnets of which one is "+
			"IPv4 and the other IPv6.", text)
	case len(subnets) > 1:
		return refuse("%q is more than one subnet, which needs ip_family `dual`.", text)
	case n.IPFamily == ipv6 && first.Is4():
		return refuse("%q is an IPv4 subnet, but ip_family is `ipv6`.", text)
	case n.IPFamily != ipv6 && first.Is6():
		return refuse("%q is an IPv6 subnet, but ip_family is `ipv4`.", text)
	}
	return subnets, nil
}

// overlapProblems finds pods and services that would share addresses. kind and kubeadm don't mind; the cluster starts,
// and some services can't be reached.
func overlapProblems(at Path, pods, services []netip.Prefix) []Problem {
	for _, pod := range pods {
		for _, service := range services {
			if pod.Overlaps(service) {
				return []Problem{{at, fmt.Sprintf("The pods' subnet %s and the services' subnet %s overlap.", pod, service)}}
			}
		}
	}
	return nil
}
