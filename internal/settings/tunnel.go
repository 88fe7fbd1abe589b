package settings

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// TunnelMode is what carries apiservers' traffic to nodes, pods and services.
type TunnelMode string

// The modes.
const (
	NoTunnel     TunnelMode = "none"
	SSH          TunnelMode = "ssh"
	Konnectivity TunnelMode = "konnectivity"
)

// Tunnel is a declared tunnel.
type Tunnel struct {
	Mode TunnelMode // empty if that is left as it is
	// Konnectivity is how it runs. Images that aren't given are those that go with the cluster's version.
	Konnectivity konnectivity.Options
	// ImageArchives are files, where the provider runs, whose images nodes are given instead of pulling them.
	ImageArchives []string
	// SSH is how that is to run.
	SSH SSHOptions
}

// SSHOptions are those of SSH tunnels.
type SSHOptions struct {
	Port uint16 // of servers; 0 for the usual one
	// KeyGeneration is the text by which other keys were asked for; empty if any will do.
	KeyGeneration string
}

// MaxKeyGeneration is how many characters that text may have.
const MaxKeyGeneration = 64

// The names of a tunnel's settings. Those of one kind of tunnel are in an object of its own.
const (
	NameTunnelMode       = tunnelGroup + ".mode"
	NameServerImage      = tunnelGroup + ".konnectivity.server_image"
	NameAgentImage       = tunnelGroup + ".konnectivity.agent_image"
	NameImageArchives    = tunnelGroup + ".konnectivity.image_archives"
	NameKeepalive        = tunnelGroup + ".konnectivity.keepalive"
	NameAgentIdentifiers = tunnelGroup + ".konnectivity.agent_identifiers"
	NameServerCount      = tunnelGroup + ".konnectivity.server_count_strategy"
	NameSSHPort          = tunnelGroup + ".ssh.port"
	NameSSHRotation      = tunnelGroup + ".ssh.rotate_keys_when_changed"

	tunnelGroup   = "tunnel"
	attributeMode = "mode"
)

// egressFlag names the file that says which of an apiserver's connections go through a tunnel (Kubernetes v1.37.1,
// staging/src/k8s.io/apiserver/pkg/server/options/egress_selector.go).
const egressFlag = "egress-selector-config-file"

// errNoDocument says that a declaration becomes no file.
var errNoDocument = errors.New("no file stands for it")

// egressDocument is what apiservers find the tunnel by.
func egressDocument() document {
	return document{
		key: egressFlag, name: "egress-selector", extension: "yaml",
		write: func(part func(string) Value) ([]byte, error) {
			selection, tunnelled := egressSelections[TunnelMode(part(attributeMode).String())]
			if !tunnelled {
				return nil, errNoDocument
			}
			return selection, nil
		},
		read: func(data []byte) (map[string]Value, error) {
			mode := TunnelOf(data)
			if mode == "" {
				return nil, nil
			}
			return map[string]Value{attributeMode: {string(mode)}}, nil
		},
	}
}

// TunnelOf is the kind of tunnel that an egress selection is for; empty if it is none of kubecomm's.
func TunnelOf(egressSelection []byte) TunnelMode {
	for mode, selection := range egressSelections {
		if bytes.Equal(bytes.TrimSpace(egressSelection), bytes.TrimSpace(selection)) {
			return mode
		}
	}
	return ""
}

// egressSelections are the files that have apiservers use each kind of tunnel.
var egressSelections = map[TunnelMode][]byte{SSH: ssh.EgressSelection(), Konnectivity: konnectivity.EgressSelection()}

// declareMode leaves it to the file to have a tunnel. To have none is to have no such file, whoever's it is.
func (s *Settings) declareMode(mode TunnelMode) {
	s.Tunnel.Mode = mode
	if mode == NoTunnel {
		s.SetFlag(APIServer, egressFlag)
	}
}

var checkMode = oneOf(string(NoTunnel), string(SSH), string(Konnectivity))

// Check refuses what a tunnel can't be made of, or what would have no effect.
func (t Tunnel) Check() []Problem {
	var problems []Problem
	refuse := func(name string, err error) {
		if err != nil {
			problems = append(problems, Problem{name, err})
		}
	}
	options := t.Konnectivity
	refuse(NameServerImage, checkImage(options.Images.Server))
	refuse(NameAgentImage, checkImage(options.Images.Agent))
	for i, archive := range t.ImageArchives {
		switch {
		case archive == "":
			refuse(NameImageArchives, errors.New("the name of a file is empty"))
		case slices.Contains(t.ImageArchives[:i], archive):
			refuse(NameImageArchives, fmt.Errorf("%s is there twice", archive))
		}
	}
	if options.Keepalive != 0 {
		refuse(NameKeepalive, checkKeepalive(options.Keepalive))
	}
	if options.ServerCount != "" {
		refuse(NameServerCount, checkServerCount(Value{string(options.ServerCount)}, nil))
	}
	if length := len(t.SSH.KeyGeneration); length > MaxKeyGeneration {
		refuse(NameSSHRotation, fmt.Errorf("it has %d characters, at most %d are possible", length, MaxKeyGeneration))
	}
	for i, identifier := range options.Identifiers {
		err := checkIdentifier(identifier)
		if err == nil && slices.Contains(options.Identifiers[:i], identifier) {
			err = fmt.Errorf("%s is there twice", identifier)
		}
		refuse(NameAgentIdentifiers, err)
	}
	return problems
}

// checkImage refuses what no container runtime would take. Whether there is such an image, nodes find out.
func checkImage(image string) error {
	switch {
	case image == "":
		return nil // the default
	case strings.ContainsAny(image, " \t\n\"'"), strings.HasPrefix(image, "/"), strings.Contains(image, "://"):
		return fmt.Errorf("%q is not the name of an image, such as \"%s\"", image, konnectivity.Images{}.OrDefault(OldestMinor).Agent)
	}
	last := image[strings.LastIndex(image, "/")+1:]
	if !strings.ContainsAny(last, ":@") {
		return fmt.Errorf("%q has neither a tag nor a digest, and would be another image tomorrow; add one", image)
	}
	return nil
}

func checkKeepalive(length time.Duration) error {
	return between(konnectivity.MinKeepalive, konnectivity.MaxKeepalive)(Value{length.String()}, nil)
}

var checkServerCount = oneOf(string(konnectivity.PerServer), string(konnectivity.Leases))

// identifierKinds are those that agents take (apiserver-network-proxy v0.36.0, proto/header/header.go).
var identifierKinds = []string{"ipv4", "ipv6", "host", "cidr", "default-route"}

func checkIdentifier(text string) error {
	kind, value, _ := strings.Cut(text, "=")
	if !slices.Contains(identifierKinds, kind) || value == "" {
		return fmt.Errorf("%q is not KIND=VALUE, where KIND is one of %s", text, strings.Join(identifierKinds, ", "))
	}
	if _, err := url.QueryUnescape(value); err != nil || strings.ContainsAny(value, "&;, \t\n") {
		return fmt.Errorf("%q must be encoded as a part of a URL's query is", text)
	}
	return nil
}
