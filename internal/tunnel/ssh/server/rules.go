package server

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// rules are a configuration as connections and forwards are judged by it.
type rules struct {
	config  ssh.ServerConfig
	digest  string
	hostKey cryptossh.Signer
	owners  map[string]string // of keys, by what they are marshalled to
}

func newRules(config ssh.ServerConfig, hostKey cryptossh.Signer) (*rules, error) {
	r := &rules{config: config, digest: ssh.Digest(config.Encode()), hostKey: hostKey, owners: map[string]string{}}
	for _, owner := range slices.Sorted(maps.Keys(config.AuthorizedKeys)) {
		keys, err := ssh.ParsePublicKeys(config.AuthorizedKeys[owner])
		if err != nil {
			return nil, fmt.Errorf("the keys of %s: %w", owner, err)
		}
		for _, key := range keys {
			r.owners[string(key.Marshal())] = owner
		}
	}
	return r, nil
}

// owner is the control plane whose key it is; empty if it is nobody's.
func (r *rules) owner(key cryptossh.PublicKey) string { return r.owners[string(key.Marshal())] }

// authorized are the fingerprints of the keys of each control plane.
func (r *rules) authorized() map[string][]string {
	all := map[string][]string{}
	for key, owner := range r.owners {
		if parsed, err := cryptossh.ParsePublicKey([]byte(key)); err == nil {
			all[owner] = append(all[owner], ssh.Fingerprint(parsed))
		}
	}
	for _, fingerprints := range all {
		slices.Sort(fingerprints)
	}
	return all
}

// destination returns what is to be dialled for a forward, or why nothing is. Names are nobody's: they would be for the
// node's resolver to say.
func (r *rules) destination(host string, port uint32) (netip.AddrPort, error) {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", host)
	}
	address = address.Unmap()
	if port == 0 || port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("%d is no port", port)
	}
	target := netip.AddrPortFrom(address, uint16(port))
	within := func(cidr netip.Prefix) bool { return cidr.Contains(address) }
	if ssh.Reachable(address) && (slices.Contains(r.config.Addresses, address) ||
		slices.ContainsFunc(r.config.PodCIDRs, within) || slices.ContainsFunc(r.config.ServiceCIDRs, within)) {
		return target, nil
	}
	return netip.AddrPort{}, fmt.Errorf("%s is no address of node %s, of its pods or of services", target, r.config.Node)
}
