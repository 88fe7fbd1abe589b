// Package route says which node of a cluster what an apiserver dials is to be reached through. Its tables never change; who
// has another one takes its place.
package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Node is what leads to a node.
type Node struct {
	Name      string
	Hostnames []string // besides its name
	Addresses []netip.Addr
	PodCIDRs  []netip.Prefix
}

// Target is where something goes.
type Target struct {
	Node    string     // empty if any node will do
	Address netip.Addr // what is dialled on it
}

// Table finds targets.
type Table struct {
	addresses map[netip.Addr]claim
	names     map[string]claim
	pods      map[netip.Prefix]claim
	services  map[netip.Prefix]bool
	podBits   lengths
	svcBits   lengths
}

// claim is a node's to an address, a name or a range. Where several nodes have the same, nobody does: what the API says of
// a node's addresses is what its kubelet says of itself, who could call another's its own.
type claim struct {
	node    string
	address netip.Addr
	rivals  []string
}

// lengths are those of prefixes that there are, longest first, for IPv4 and IPv6.
type lengths struct{ v4, v6 []int }

// New makes a table. Earlier nodes' addresses are theirs, whatever later ones say: these are known from elsewhere. So are the
// ranges of their pods, and those of services, in which no other node has an address.
func New(known []Node, told []Node, services []netip.Prefix) *Table {
	t := &Table{
		addresses: map[netip.Addr]claim{}, names: map[string]claim{}, pods: map[netip.Prefix]claim{},
		services: map[netip.Prefix]bool{},
	}
	owned := owners{addresses: map[netip.Addr]string{}, ranges: map[netip.Prefix]string{}}
	for _, node := range known {
		for _, address := range node.Addresses {
			owned.addresses[address.Unmap()] = node.Name
		}
		for _, cidr := range node.PodCIDRs {
			owned.add(cidr, node.Name)
		}
	}
	for _, cidr := range services {
		t.services[cidr.Masked()] = true
		t.svcBits.add(cidr)
		owned.add(cidr, "")
	}
	for _, node := range told {
		t.add(node, owned)
	}
	return t
}

// owners are whose addresses and ranges are known, which are nobody's where they are for services.
type owners struct {
	addresses map[netip.Addr]string
	ranges    map[netip.Prefix]string
	bits      lengths
}

func (o *owners) add(cidr netip.Prefix, node string) {
	o.ranges[cidr.Masked()] = node
	o.bits.add(cidr)
}

// deny reports whether an address isn't a node's, whatever the node says.
func (o *owners) deny(address netip.Addr, node string) bool {
	if owner, owned := o.addresses[address]; owned {
		return owner != node
	}
	owner, owned := find(o.ranges, o.bits, address)
	return owned && owner != node
}

func (t *Table) add(node Node, owned owners) {
	var first netip.Addr
	for _, address := range node.Addresses {
		address = address.Unmap()
		if owned.deny(address, node.Name) {
			continue
		}
		if !first.IsValid() {
			first = address
		}
		put(t.addresses, address, claim{node: node.Name, address: address})
	}
	if first.IsValid() {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(append(node.Hostnames, node.Name)))) {
			put(t.names, strings.ToLower(name), claim{node: node.Name, address: first})
		}
	}
	for _, cidr := range node.PodCIDRs {
		put(t.pods, cidr.Masked(), claim{node: node.Name})
		t.podBits.add(cidr)
	}
}

func put[K comparable](claims map[K]claim, key K, own claim) {
	if other, there := claims[key]; there && other.node != own.node {
		other.rivals = append(other.rivals, own.node)
		own = other
	}
	claims[key] = own
}

func (l *lengths) add(cidr netip.Prefix) {
	bits := &l.v6
	if cidr.Addr().Is4() {
		bits = &l.v4
	}
	if !slices.Contains(*bits, cidr.Bits()) {
		*bits = append(*bits, cidr.Bits())
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
	}
}

// find returns the longest of the prefixes that holds an address.
func find[T any](prefixes map[netip.Prefix]T, l lengths, address netip.Addr) (found T, there bool) {
	bits := l.v6
	if address.Is4() {
		bits = l.v4
	}
	for _, length := range bits {
		prefix, err := address.Prefix(length)
		if err != nil {
			continue
		}
		if found, there = prefixes[prefix]; there {
			return found, true
		}
	}
	return found, false
}

// ErrNowhere is why nothing leads to a host.
var ErrNowhere = errors.New("no node has it")

// Find returns where a host is: an address, or the name of a node.
func (t *Table) Find(host string) (Target, error) {
	address, err := netip.ParseAddr(host)
	if err != nil {
		found, there := t.names[strings.ToLower(host)]
		if !there {
			return Target{}, fmt.Errorf("%w: %s is the name of no node", ErrNowhere, host)
		}
		return found.target(host, found.address)
	}
	address = address.Unmap()
	if found, there := t.addresses[address]; there {
		return found.target(host, address)
	}
	if found, there := find(t.pods, t.podBits, address); there {
		return found.target(host, address)
	}
	if _, there := find(t.services, t.svcBits, address); there {
		return Target{Address: address}, nil
	}
	return Target{}, fmt.Errorf("%w: %s is no address of a node, a pod or a service", ErrNowhere, host)
}

func (c claim) target(host string, address netip.Addr) (Target, error) {
	if len(c.rivals) > 0 {
		return Target{}, fmt.Errorf("%w: nodes %s and %s both claim %s", ErrNowhere, c.node, strings.Join(c.rivals, ", "), host)
	}
	return Target{Node: c.node, Address: address}, nil
}

// Addresses are those of a node that it doesn't share with another.
func (t *Table) Addresses(node Node) []netip.Addr {
	var own []netip.Addr
	for _, address := range node.Addresses {
		if found := t.addresses[address.Unmap()]; found.node == node.Name && len(found.rivals) == 0 {
			own = append(own, address.Unmap())
		}
	}
	return own
}
