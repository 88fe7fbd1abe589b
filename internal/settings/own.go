package settings

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// The names of what is the user's own: of a CA, and of each node's certificate. They stand beside the other settings,
// because what is write-only can't be inside of what has a default (terraform-plugin-framework v1.19.0,
// internal/fwschema/write_only_nested_attribute_validation.go).
const (
	NameOwnCA        = "kubelet_serving_ca.certificate"
	NameOwnCAKey     = "kubelet_serving_ca.private_key_wo"
	NameProvided     = "kubelet_serving_certificates.certificate"
	NameProvidedKey  = "kubelet_serving_certificates.private_key_wo"
	keyNeverStored   = "Terraform, from 1.11 on, passes it on and keeps it neither in the plan nor in the state."
	declaredAsBefore = "null"
)

func ownTable() []Setting {
	return []Setting{
		{
			Name: NameOwnCA,
			Meaning: "The certificate of a CA of your own, in PEM, in place of the one that kubecomm makes. Those of the CAs " +
				"above it may follow, each after the one that it signed: kubelets serve them too, and apiservers nevertheless " +
				"trust the first alone. Another CA takes the place of the one before as described at `rotate_when_changed`. " +
				"kubecomm renews what the CA issues, and not the CA.",
			Protects:    "apiserver → kubelet",
			TakesEffect: rotates,
			lives: "`kubelet-serving-own-ca.crt` on every control plane, what apiservers verify kubelets with, and kubelets' " +
				"certificates",
			observed: "that file, the CAs that apiservers trust, and the certificate that each kubelet shows to a TLS client",
			Default:  declaredAsBefore,
		},
		{
			Name: NameOwnCAKey,
			Meaning: "The CA's private key, in PEM and not encrypted. It is needed in every configuration that has the " +
				"certificate, except with `source = \"provided\"`, and is used where Terraform runs, to sign: no node gets it. " +
				keyNeverStored,
			lives:    "in Terraform's configuration alone",
			observed: "nothing: only what was signed with it can be seen",
			Default:  declaredAsBefore,
		},
		{
			Name: NameProvided,
			Meaning: "The node's certificate, in PEM, followed by those of the CAs between it and `kubelet_serving_ca`. It must " +
				"be for servers, be valid and name every address of the node. To renew it is yours.",
			Protects:    "apiserver → kubelet",
			TakesEffect: reloads,
			lives:       servesBy,
			observed:    servesSeenBy,
			Default:     declaredAsBefore,
		},
		{
			Name:     NameProvidedKey,
			Meaning:  "The certificate's private key, in PEM and not encrypted. No other node gets it. " + keyNeverStored,
			lives:    servesBy,
			observed: "whether the kubelet serves the certificate, which it can't without the key",
			Default:  declaredAsBefore,
		},
	}
}

// CheckOwn refuses what is the user's own where it would have no effect, or is missing.
func (s Settings) CheckOwn() []Problem {
	provides := s.ServingSource == Provided
	var problems []Problem
	refuse := func(name, reason string) { problems = append(problems, Problem{name, errors.New(reason)}) }
	source := strings.TrimPrefix(NameServingSource, "kubelet.")
	switch {
	case s.OwnCA == nil && provides:
		refuse(groupOf(NameOwnCA), "with "+source+" = \"provided\" it says which CA the certificates are of; set its certificate")
	case s.OwnCA != nil && s.ServingSource == CSR:
		refuse(groupOf(NameOwnCA), "with "+source+" = \"csr\" the controller manager signs, with a key on control planes; set "+
			source+" = \"dedicated_ca\", or leave it out")
	case s.OwnCA != nil && !provides && s.ServingSource != DedicatedCA:
		refuse(groupOf(NameOwnCA), "it would have no effect without "+source+" = \"dedicated_ca\" or \"provided\"")
	}
	switch {
	case s.Provided == nil && provides:
		refuse(groupOf(NameProvided), "with "+source+" = \"provided\" it has every node's certificate, and is missing")
	case s.Provided != nil && !provides:
		refuse(groupOf(NameProvided), "it would have no effect without "+source+" = \"provided\"")
	}
	if s.OwnCA != nil && s.CAGeneration != "" {
		refuse(NameRotation, "it asks for a new CA of kubecomm's, which isn't used: declare another kubelet_serving_ca in its place")
	}
	return problems
}

func groupOf(name string) string { return Setting{Name: name}.Group() }

// CheckOwnCA refuses a CA that can't sign serving certificates at a time.
func (s Settings) CheckOwnCA(now time.Time) []Problem {
	if s.OwnCA == nil {
		return nil
	}
	if err := pki.CheckIssuer(s.OwnCA.Chain, now); err != nil {
		return []Problem{{NameOwnCA, err}}
	}
	return nil
}

// CheckProvided refuses certificates that apiservers would, certificates for nodes that the cluster doesn't have, and that a
// node has none. Nodes are given with their addresses. Problems of a node have it as their Node.
func (s Settings) CheckProvided(nodes map[string][]netip.Addr, now time.Time) []NodeProblem {
	if s.OwnCA == nil || s.ServingSource != Provided {
		return nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(nodes)), ", ")
	var problems []NodeProblem
	refuse := func(node string, err error) {
		problems = append(problems, NodeProblem{Node: node, Problem: Problem{Name: NameProvided, Err: err}})
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		own, given := s.Provided[node]
		if !given {
			refuse(node, fmt.Errorf("node %s has no certificate; the cluster's nodes are %s", node, known))
			continue
		}
		if err := pki.CheckServing(own.Chain, s.OwnCA.Chain[:1], nodes[node], now); err != nil {
			refuse(node, fmt.Errorf("apiservers would refuse it: %w", err))
		}
	}
	for _, node := range slices.Sorted(maps.Keys(s.Provided)) {
		if _, there := nodes[node]; !there {
			refuse(node, fmt.Errorf("the cluster has no node %s; its nodes are %s", node, known))
		}
	}
	return problems
}
