package ssh

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"slices"
)

// ServerConfig is what a node's server is given as a file. It holds no secret.
type ServerConfig struct {
	Node string `json:"node"`
	// What the server forwards to: the node's addresses, its pods and services.
	Addresses    []netip.Addr   `json:"addresses"`
	PodCIDRs     []netip.Prefix `json:"podCIDRs"`
	ServiceCIDRs []netip.Prefix `json:"serviceCIDRs"`
	// AuthorizedKeys are the public keys of each control plane, by its name: two while they rotate.
	AuthorizedKeys map[string][]string `json:"authorizedKeys"`
}

// ProxyConfig is what a control plane's proxy is given as a file. It holds no secret.
type ProxyConfig struct {
	Node string `json:"node"`
	// Server is the URL of the control plane's own apiserver, and ServerName whom it must show to be.
	Server     string `json:"server"`
	ServerName string `json:"serverName"`
	// Namespace and ServiceAccount are who the proxy is.
	Namespace      string         `json:"namespace"`
	ServiceAccount string         `json:"serviceAccount"`
	ServiceCIDRs   []netip.Prefix `json:"serviceCIDRs"`
	Nodes          []Node         `json:"nodes"`
}

// Node is what a proxy knows of a node before the API tells more. Its host keys are known from here alone.
type Node struct {
	Name         string         `json:"name"`
	ControlPlane bool           `json:"controlPlane,omitempty"`
	Addresses    []netip.Addr   `json:"addresses"`
	PodCIDRs     []netip.Prefix `json:"podCIDRs"`
	Port         uint16         `json:"port"`
	HostKeys     []string       `json:"hostKeys"` // two while they rotate
}

// Encode returns the file's content, which is the same for what is the same.
func (c ServerConfig) Encode() []byte { return encode(c) }

// Encode returns the file's content, which is the same for what is the same.
func (c ProxyConfig) Encode() []byte { return encode(c) }

// Digest tells which configuration a server or proxy has: that of its file's content.
func Digest(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

func encode(config any) []byte {
	data, _ := json.MarshalIndent(config, "", "  ") // texts and addresses can always be written
	return append(data, '\n')
}

// ParseServerConfig reads a server's file. What it doesn't know it refuses: it may be what was meant to restrict it.
func ParseServerConfig(data []byte) (ServerConfig, error) {
	var c ServerConfig
	if err := errors.Join(decode(data, &c), c.check()); err != nil {
		return ServerConfig{}, fmt.Errorf("the configuration of an SSH server: %w", err)
	}
	return c, nil
}

// ParseProxyConfig reads a proxy's file.
func ParseProxyConfig(data []byte) (ProxyConfig, error) {
	var c ProxyConfig
	if err := decode(data, &c); err != nil {
		return ProxyConfig{}, fmt.Errorf("the configuration of an SSH proxy: %w", err)
	}
	if err := c.check(); err != nil {
		return ProxyConfig{}, fmt.Errorf("the configuration of an SSH proxy: %w", err)
	}
	return c, nil
}

func decode(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

func (c ServerConfig) check() error {
	problems := []error{named("node", c.Node), anyAddress(c.Addresses), checkAddresses(c.Addresses), checkCIDRs(c.PodCIDRs),
		checkCIDRs(c.ServiceCIDRs)}
	if len(c.AuthorizedKeys) == 0 {
		problems = append(problems, errors.New("no key is authorized"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.AuthorizedKeys)) {
		if _, err := ParsePublicKeys(c.AuthorizedKeys[name]); err != nil {
			problems = append(problems, fmt.Errorf("the keys of %s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

func (c ProxyConfig) check() error {
	server, err := url.Parse(c.Server)
	if err == nil && (server.Scheme != "https" || server.Host == "") {
		err = fmt.Errorf("server %q is no https URL", c.Server)
	}
	problems := []error{named("node", c.Node), err, named("serverName", c.ServerName), named("namespace", c.Namespace),
		named("serviceAccount", c.ServiceAccount), checkCIDRs(c.ServiceCIDRs)}
	known := map[string]bool{}
	for _, node := range c.Nodes {
		problem := node.check()
		if known[node.Name] {
			problem = errors.Join(problem, errors.New("it is there twice"))
		}
		known[node.Name] = true
		if problem != nil {
			problems = append(problems, fmt.Errorf("node %q: %w", node.Name, problem))
		}
	}
	return errors.Join(problems...)
}

func (n Node) check() error {
	problems := []error{named("name", n.Name), anyAddress(n.Addresses), checkAddresses(n.Addresses), checkCIDRs(n.PodCIDRs)}
	if n.Port == 0 {
		problems = append(problems, errors.New("it has no port"))
	}
	if _, err := ParsePublicKeys(n.HostKeys); err != nil {
		problems = append(problems, fmt.Errorf("its host keys: %w", err))
	}
	return errors.Join(problems...)
}

func named(field, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty", field)
	}
	return nil
}

func anyAddress(addresses []netip.Addr) error {
	if len(addresses) == 0 {
		return errors.New("it has no address")
	}
	return nil
}

// Reachable reports whether an address is one that a tunnel may lead to, wherever it belongs: one of a network, and not a
// machine's own, a link's (where clouds answer for secrets), or a group's.
func Reachable(address netip.Addr) bool {
	return address.IsGlobalUnicast() && !address.Is4In6() && address.Zone() == ""
}

func checkAddresses(addresses []netip.Addr) error {
	for _, address := range addresses {
		if !Reachable(address) {
			return fmt.Errorf("%s is no address by which others reach a node", address)
		}
	}
	return nil
}

func checkCIDRs(cidrs []netip.Prefix) error {
	for _, cidr := range cidrs {
		if !cidr.IsValid() || cidr != cidr.Masked() || !Reachable(cidr.Addr()) {
			return fmt.Errorf("%s is no range of addresses that pods or services may have", cidr)
		}
	}
	return nil
}
