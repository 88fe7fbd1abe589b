package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
)

// etcdProbePort is where the kubelet's probes ask etcd how it is, on loopback and over plain HTTP. kubeadm takes what they
// ask from the first of the URLs (Kubernetes v1.37.1, cmd/kubeadm/app/util/staticpod/utils.go, GetEtcdProbeEndpoint), but
// the probes of manifests that are there already stay as they are.
const etcdProbePort = 2381

func checkMetricsURLs(value Value, _ func(string) Value) error {
	var listens []listener
	for _, text := range value {
		found, err := parseListener(text)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(listens, found.clashes); i >= 0 {
			return fmt.Errorf("%s and %s are the same to listen at", value[i], text)
		}
		listens = append(listens, found)
	}
	lacking := fmt.Sprintf("without http://127.0.0.1:%d, or 0.0.0.0 or [::] in its place, the probes by which the kubelet looks "+
		"after etcd would fail, and it would be ended again and again", etcdProbePort)
	switch ipv4 := netip.AddrFrom4([4]byte{127, 0, 0, 1}); {
	case !slices.ContainsFunc(listens, func(l listener) bool { return l.probed(ipv4) }):
		return errors.New(lacking)
	case !listens[0].probed(ipv4) && !listens[0].probed(netip.IPv6Loopback()):
		return fmt.Errorf("%s is the first, at which probes would ask the etcd of a control plane that joins; put http://127.0.0.1:%d "+
			"before it, or on an IPv6 cluster http://[::1]:%d", value[0], etcdProbePort, etcdProbePort)
	}
	return nil
}

// listener is what etcd opens for a URL.
type listener struct {
	scheme string
	at     netip.AddrPort
}

// parseListener reads a URL as etcd does (etcd server v3.7.3, embed/config.go, checkBindURLs; etcd client/pkg v3.7.3,
// types/urls.go), but for Unix sockets and names.
func parseListener(text string) (listener, error) {
	const example = "such as \"http://127.0.0.1:2381\""
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return listener{}, fmt.Errorf("%q is not the URL of an address and a port, %s", text, example)
	}
	at, err := netip.ParseAddrPort(parsed.Host)
	if err != nil || at.Port() == 0 || parsed.Scheme+"://"+parsed.Host != text {
		return listener{}, fmt.Errorf("%q must be an address and a port, and nothing else, %s", text, example)
	}
	return listener{parsed.Scheme, at}, nil
}

// clashes reports whether both can't be listened at. An address that stands for all of them takes the port of each.
func (l listener) clashes(other listener) bool {
	return l.at.Port() == other.at.Port() && (l.at.Addr() == other.at.Addr() || l.everywhere() || other.everywhere())
}

func (l listener) everywhere() bool { return l.at.Addr().IsUnspecified() }

// probed reports whether a probe at a loopback address gets its answer here.
func (l listener) probed(loopback netip.Addr) bool {
	return l.scheme == "http" && l.at.Port() == etcdProbePort && (l.at.Addr() == loopback || l.everywhere())
}
