package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// network is this node's part of the pod network.
type network struct {
	self    string
	confDir string
	mtu     int
	written []byte
}

func (n *network) take(ctx context.Context, e event) error {
	if e.Object.Metadata.Name == n.self {
		return n.configure(e.Object.Spec.PodCIDRs)
	}
	for _, route := range routes(e.Object) {
		args := []string{"route", "replace", route.subnet, "via", route.via}
		if e.Type == "DELETED" {
			args = []string{"route", "del", route.subnet}
		}
		if err := command(ctx, nil, "ip", args...); err != nil && e.Type != "DELETED" {
			return err
		}
	}
	return nil
}

type route struct{ subnet, via string }

// routes pairs each of a node's pod subnets with the node's address of the
// same family.
func routes(n node) []route {
	var found []route
	for _, subnet := range n.Spec.PodCIDRs {
		for _, a := range n.Status.Addresses {
			if a.Type == "InternalIP" && isIPv6(a.Address) == isIPv6(subnet) {
				found = append(found, route{subnet, a.Address})
				break
			}
		}
	}
	return found
}

func isIPv6(s string) bool { return strings.Contains(s, ":") }

func (n *network) configure(subnets []string) error {
	if len(subnets) == 0 {
		return nil // the controller manager has not given the node one yet
	}
	conf, err := cniConfig(subnets, n.mtu)
	if err != nil || bytes.Equal(conf, n.written) {
		return err
	}
	// The name and the rename follow kindnet, which the runtime expects to
	// find whole: containerd reads the folder as soon as it changes.
	path := filepath.Join(n.confDir, "10-kindnet.conflist")
	if err := os.WriteFile(path+".temp", conf, 0o644); err != nil {
		return err
	}
	n.written = conf
	return os.Rename(path+".temp", path)
}

// cniConfig is kindnet's configuration (kind v0.33.0,
// images/kindnetd/cmd/kindnetd/cni.go): ptp with host-local addresses, and
// portmap for host ports.
func cniConfig(subnets []string, mtu int) ([]byte, error) {
	type m = map[string]any
	var ranges []any
	var defaults []any
	for _, s := range subnets {
		ranges = append(ranges, []any{m{"subnet": s}})
		dst := "0.0.0.0/0"
		if isIPv6(s) {
			dst = "::/0"
		}
		defaults = append(defaults, m{"dst": dst})
	}
	ptp := m{
		"type": "ptp", "ipMasq": false,
		"ipam": m{"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": defaults, "ranges": ranges},
	}
	if mtu > 0 {
		ptp["mtu"] = mtu
	}
	return json.MarshalIndent(m{
		"cniVersion": "0.3.1", "name": "kindnet",
		"plugins": []any{ptp, m{"type": "portmap", "capabilities": m{"portMappings": true}}},
	}, "", "  ")
}

// masquerade hides pods behind the node for whatever is not a pod: nothing
// outside the cluster has a route back to one.
func masquerade(ctx context.Context, podSubnets []string) error {
	var rules strings.Builder
	for _, s := range podSubnets {
		ip := "ip"
		if isIPv6(s) {
			ip = "ip6"
		}
		fmt.Fprintf(&rules, "    %s saddr %s %s daddr != %s fib daddr type != local masquerade\n", ip, s, ip, s)
	}
	ruleset := "add table inet podnet\ndelete table inet podnet\ntable inet podnet {\n  chain postrouting {\n    type nat hook postrouting priority srcnat - 5; policy accept;\n" + rules.String() + "  }\n}\n"
	return command(ctx, strings.NewReader(ruleset), "nft", "-f", "-")
}

func mtu(device string) int {
	b, err := os.ReadFile("/sys/class/net/" + device + "/mtu")
	if err != nil {
		return 0
	}
	v, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return v
}

func command(ctx context.Context, stdin *strings.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
