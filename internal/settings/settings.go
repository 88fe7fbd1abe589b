// Package settings says what can be declared about a cluster's communication paths: each setting with its meaning, the
// path it protects and how it takes effect. It is pure, and the single source for schema descriptions, validation and
// defaults.
package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Component is a part of the control plane that runs as a static pod, by the name of its container.
type Component string

// The components that settings are flags of.
const (
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
	Etcd              Component = "etcd"
)

// Components lists them, in the order in which they are changed.
func Components() []Component { return []Component{APIServer, ControllerManager, Scheduler, Etcd} }

// Source is where kubelets get their serving certificates from.
type Source string

// The sources. Both have a CA that exists for this alone.
const (
	// DedicatedCA has kubecomm issue the certificates.
	DedicatedCA Source = "dedicated_ca"
	// CSR has kubelets ask the cluster for them, by CertificateSigningRequests that a program of kubecomm's approves.
	CSR Source = "csr"
)

// Provided takes serving certificates that the user has made.
const Provided Source = "provided"

// Sources lists the supported sources.
func Sources() []string { return []string{string(DedicatedCA), string(CSR), string(Provided)} }

// Settings is a whole declaration, with defaults filled in.
type Settings struct {
	// VerifyKubelets makes every apiserver verify the kubelets that it connects to.
	VerifyKubelets bool
	// KubeletCAs are those, in PEM, that apiservers trust at kubelets besides the one that issues serving certificates.
	KubeletCAs string
	// ServingSource is where kubelets get their serving certificates from; empty if that is none of kubecomm's business.
	ServingSource Source
	// ServingValidity is the lifetime of a serving certificate.
	ServingValidity time.Duration
	// OwnCA is a CA of the user's own in place of the one that kubecomm makes; nil if none is declared. It has a key unless
	// certificates are provided.
	OwnCA *pki.Own
	// Provided are the serving certificates of the user's own, by node.
	Provided map[string]pki.Own
	// CAGeneration is the text by which a new CA for serving certificates was asked for; empty if any will do.
	CAGeneration string
	// KubeletClient is who apiservers are at kubelets; empty if that is left as it is.
	KubeletClient ClientIdentity
	// KubeletClientRole is the ClusterRole that a custom identity is bound to.
	KubeletClientRole string
	// Flags are the declared flags of every instance of a control plane component, by name without dashes.
	Flags map[Component]map[string][]string
	// Documents are the declared files of apiservers, by the flag that names them.
	Documents map[string]Document
	// KubeletFields are the declared fields of every kubelet's configuration, by name.
	KubeletFields map[string]any
	// KubeletDocuments are the declared files of every kubelet, by the field that names them.
	KubeletDocuments map[string]Document
	// NodeKubeletFields and NodeKubeletDocuments are those that single nodes' kubelets have in place of the former, by the
	// node's name.
	NodeKubeletFields    map[string]map[string]any
	NodeKubeletDocuments map[string]map[string]Document
	// Tunnel is what carries apiservers' traffic to nodes.
	Tunnel Tunnel
	// KubeletRestarts is how many kubelets may be restarted at once.
	KubeletRestarts int
}

// MaxCAGeneration is how many characters that may have.
const MaxCAGeneration = pki.MaxGeneration

// Defaults returns what an empty declaration means.
func Defaults() Settings {
	return Settings{
		VerifyKubelets: true, ServingSource: DedicatedCA, ServingValidity: 365 * 24 * time.Hour, KubeletRestarts: 3,
	}
}

// The bounds of ServingValidity: shorter, and a certificate could be due for renewal before anyone runs Terraform
// again; longer, and it would outlive its CA.
const (
	MinServingValidity = time.Hour
	MaxServingValidity = 5 * 365 * 24 * time.Hour
)

// ParseValidity reads a certificate lifetime such as "8760h" and refuses what is out of bounds.
func ParseValidity(text string) (time.Duration, error) {
	validity, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as %q: %w", text, FormatValidity(Defaults().ServingValidity), err)
	}
	if validity < MinServingValidity || validity > MaxServingValidity {
		return 0, fmt.Errorf("%s is out of bounds: a serving certificate lives at least %s and at most %s",
			text, FormatValidity(MinServingValidity), FormatValidity(MaxServingValidity))
	}
	if validity%time.Second != 0 {
		return 0, fmt.Errorf("%s is not a whole number of seconds, which is all that a certificate can hold", text)
	}
	return validity, nil
}

// FormatValidity writes a lifetime in the largest unit that holds it exactly, in one unit only.
func FormatValidity(validity time.Duration) string {
	switch {
	case validity%time.Hour == 0:
		return fmt.Sprintf("%dh", validity/time.Hour)
	case validity%time.Minute == 0:
		return fmt.Sprintf("%dm", validity/time.Minute)
	}
	return fmt.Sprintf("%ds", validity/time.Second)
}

// Setting describes one thing that can be declared.
type Setting struct {
	Name        string // the attribute's path in kubecomm_hardening
	Meaning     string // one sentence or more, Markdown
	Protects    string // the communication path; empty if none by itself
	TakesEffect string // what happens on the nodes when it changes; empty if nothing does
	Default     string // empty if it is what was there before kubecomm
	Component   Component
	Flag        string // of the component that it becomes, without dashes; or empty
	// Field of the kubelet's configuration that it becomes, or empty; dots lead to what is inside of an object.
	Field string
	// Document is the flag of apiservers, or the field of kubelets' configuration, that names the file of which this is a
	// part, or empty.
	Document string
	Form     Form     // of settings that become a flag, a field or a part of a file
	Members  []Member // of a setting whose form is Objects
	Since    uint     // the first minor version of Kubernetes 1 that has it; 0 for OldestMinor
	CIS      []string // the recommendations of the CIS Kubernetes Benchmark 1.12 that it answers
	// Baseline and Restricted are what the profiles say; nothing in Restricted stands for what is in Baseline.
	Baseline, Restricted Value

	// lives and observed are what the methods of those names return where neither a flag, nor a field, nor a document says it.
	lives, observed string

	check checkFunc // nil if every value will do
	// canonicalObject returns the one spelling of an element of a setting whose form is Objects.
	canonicalObject func(string) string
	// excludes names the attribute of the same group in place of which this one is, if it is declared.
	excludes string
}

// Group is the first part of the setting's name.
func (s Setting) Group() string {
	group, _, _ := strings.Cut(s.Name, ".")
	return group
}

// Attribute is the rest of the setting's name.
func (s Setting) Attribute() string {
	_, rest, _ := strings.Cut(s.Name, ".")
	return rest
}

// The names of settings that become neither a flag of that name nor a field.
const (
	NameVerifyKubelets = "apiserver.verify_kubelets"
	NameServingSource  = "kubelet.serving_certificates.source"
	NameKubeletCAs     = "apiserver.kubelet_ca_bundle"
	NameRotation       = "kubelet.serving_certificates.rotate_when_changed"

	NameKubeletClient     = "apiserver.kubelet_client_identity"
	NameKubeletClientRole = "apiserver.kubelet_client_cluster_role"
)

// NameKubeletClientCA is the setting that says which clients' certificates kubelets accept.
const NameKubeletClientCA = "kubelet." + attributeClientCA

// Declare gives a setting a value.
func (s *Settings) Declare(setting Setting, value Value) {
	switch setting.Name {
	case NameVerifyKubelets:
		s.VerifyKubelets = value.String() == "true"
	case NameKubeletCAs:
		s.KubeletCAs = setting.canonical(value).String()
	case NameServingSource:
		s.ServingSource = Source(value.String())
	case NameKubeletClient:
		s.KubeletClient = ClientIdentity(value.String())
	case NameKubeletClientRole:
		s.KubeletClientRole = value.String()
	case NameTunnelMode:
		s.declareMode(TunnelMode(value.String()))
	}
	if setting.Flag != "" {
		s.SetFlag(setting.Component, setting.Flag, setting.flag(value)...)
	}
	if setting.Field != "" {
		if s.KubeletFields == nil {
			s.KubeletFields = map[string]any{}
		}
		s.KubeletFields[setting.Field] = setting.field(value)
	}
}

// SetFlag gives a component a flag.
func (s *Settings) SetFlag(component Component, name string, values ...string) {
	if s.Flags == nil {
		s.Flags = map[Component]map[string][]string{}
	}
	if s.Flags[component] == nil {
		s.Flags[component] = map[string][]string{}
	}
	s.Flags[component][name] = values
}

// Declarable lists the settings of which profiles may say something.
func Declarable() []Setting {
	return slices.DeleteFunc(Table(), func(s Setting) bool { return s.Form == 0 })
}

// Managed lists the settings that become a flag, a field or a part of a file.
func Managed() []Setting {
	return slices.DeleteFunc(Table(), func(s Setting) bool { return s.Flag == "" && s.Field == "" && s.Document == "" })
}

// ManagedFlags are the component's flags that settings become, those that name files and those that can't be beside them
// included.
func ManagedFlags(component Component) []string {
	flags := collect(func(s Setting) string {
		if s.Component != component {
			return ""
		}
		return s.Flag
	})
	if component == APIServer {
		for _, document := range documents() {
			flags = append(flags, document.key)
			for _, excluded := range document.without {
				flags = append(flags, excluded.flag)
			}
		}
	}
	return flags
}

// ManagedKubeletFields are the fields of the kubelet's configuration that settings become, those that name files included.
func ManagedKubeletFields() []string {
	return append(collect(func(s Setting) string { return s.Field }), KubeletDocumentFields()...)
}

func collect(part func(Setting) string) []string {
	var found []string
	for _, setting := range Table() {
		if text := part(setting); text != "" {
			found = append(found, text)
		}
	}
	return found
}

// Describe returns the documentation of the setting with that name, which must be in the table.
func Describe(name string) string {
	table := Table()
	i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })
	s := table[i]
	sentences := []string{s.Meaning}
	if s.Protects != "" {
		sentences = append(sentences, "Protects "+s.Protects+".")
	}
	if s.TakesEffect != "" {
		sentences = append(sentences, "On a change, "+s.TakesEffect+".")
	}
	if s.Since != 0 {
		sentences = append(sentences, fmt.Sprintf("Needs Kubernetes 1.%d.", s.Since))
	}
	if len(s.CIS) > 0 {
		sentences = append(sentences, "CIS 1.12: "+strings.Join(s.CIS, ", ")+".")
	}
	if s.Default != "" {
		return strings.Join(append(sentences, "Default: `"+s.Default+"`."), " ")
	}
	if profiles := s.inProfiles(); profiles != "" {
		return strings.Join(append(sentences, "Default: "+profiles+"; otherwise what was there before kubecomm."), " ")
	}
	return strings.Join(append(sentences, "Default: what was there before kubecomm."), " ")
}
