package settings

import (
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/authconfig"
)

// The flags of apiservers that name files which settings become.
const (
	authenticationFlag = "authentication-config"
	authorizationFlag  = "authorization-config"
	clientCAFlag       = "client-ca-file"
)

// KubeletClientCAField of kubelets' configuration names the file with the CAs that they know their clients by.
const KubeletClientCAField = "authentication.x509.clientCAFile"

// Document is a file that declared settings become.
type Document struct {
	Name, Extension string // of the file, without what tells one content from another
	Data            []byte
}

// document is how settings become a file, and are read from it.
type document struct {
	key             string // the flag of apiservers, or the field of kubelets' configuration, that names it
	name, extension string
	without         []exclusion // flags that apiservers don't take beside this one
	write           func(part func(attribute string) Value) ([]byte, error)
	read            func(data []byte) (map[string]Value, error) // by attributes
}

// exclusion is a flag that apiservers don't take beside a file that has a part.
type exclusion struct{ flag, attribute string }

func documents() []document {
	return []document{
		{
			key: authenticationFlag, name: "authentication", extension: "yaml",
			// A file that says nothing of anonymous clients leaves them to the flag (Kubernetes v1.37.1,
			// pkg/kubeapiserver/options/authentication.go, ToAuthenticationConfig).
			without: []exclusion{{"anonymous-auth", attributePaths}},
			write: func(part func(string) Value) ([]byte, error) {
				return authconfig.Authentication{AnonymousPaths: part(attributePaths), JWT: part(attributeJWT)}.Encode()
			},
			read: func(data []byte) (map[string]Value, error) {
				found, err := authconfig.ParseAuthentication(data)
				return map[string]Value{attributePaths: found.AnonymousPaths, attributeJWT: found.JWT}, err
			},
		},
		{
			key: authorizationFlag, name: "authorization", extension: "yaml",
			without: []exclusion{{"authorization-mode", attributeAuthorizers}},
			write: func(part func(string) Value) ([]byte, error) {
				return authconfig.EncodeAuthorization(part(attributeAuthorizers))
			},
			read: func(data []byte) (map[string]Value, error) {
				found, err := authconfig.ParseAuthorization(data)
				return map[string]Value{attributeAuthorizers: found}, err
			},
		},
		bundle(clientCAFlag, "client-ca", attributeClientCA),
		egressDocument(),
	}
}

// kubeletDocuments are the files of kubelets.
func kubeletDocuments() []document {
	return []document{bundle(KubeletClientCAField, "kubelet-client-ca", attributeClientCA)}
}

// bundle is a file with certificates and nothing else.
func bundle(key, name, attribute string) document {
	return document{
		key: key, name: name, extension: "crt",
		write: func(part func(string) Value) ([]byte, error) { return []byte(part(attribute).String()), nil },
		read:  func(data []byte) (map[string]Value, error) { return map[string]Value{attribute: {string(data)}}, nil },
	}
}

// DocumentFlags lists the flags of apiservers that name files which settings become.
func DocumentFlags() []string { return keysOf(documents()) }

// KubeletDocumentFields lists the fields of kubelets' configuration that do.
func KubeletDocumentFields() []string { return keysOf(kubeletDocuments()) }

func keysOf(documents []document) []string {
	var keys []string
	for _, document := range documents {
		keys = append(keys, document.key)
	}
	return keys
}

// DocumentNames lists what the names of apiservers' files begin with.
func DocumentNames() []string { return namesOf(documents()) }

// KubeletDocumentNames lists what the names of kubelets' files begin with.
func KubeletDocumentNames() []string { return namesOf(kubeletDocuments()) }

func namesOf(documents []document) []string {
	var names []string
	for _, document := range documents {
		names = append(names, document.name)
	}
	return names
}

// FromDocument reads the setting from the file of which it is a part; nil if the file doesn't have it. Of a file that
// can't be read, which only somebody else can have written, it returns nil as well.
func (s Setting) FromDocument(data []byte) Value {
	all := slices.Concat(documents(), kubeletDocuments())
	i := slices.IndexFunc(all, func(d document) bool { return d.key == s.Document })
	parts, err := all[i].read(data)
	if err != nil || len(data) == 0 || parts[s.Attribute()] == nil {
		return nil
	}
	return s.canonical(parts[s.Attribute()])
}

// declareDocuments makes the files of which any part is declared. The flags that can't be beside them are declared to be
// absent.
func (s *Settings) declareDocuments(effective map[string]Value) {
	s.Documents, s.KubeletDocuments = written(documents(), effective), written(kubeletDocuments(), effective)
	for _, document := range documents() {
		if _, declared := s.Documents[document.key]; !declared {
			continue
		}
		for _, excluded := range document.without {
			if effective[apiserverGroup+"."+excluded.attribute] != nil {
				s.SetFlag(APIServer, excluded.flag)
			}
		}
	}
}

// written are the files of which any part is declared, by what names them. The parts were checked, and so can be written.
func written(documents []document, effective map[string]Value) map[string]Document {
	var found map[string]Document
	for _, document := range documents {
		parts := map[string]Value{}
		for _, setting := range Table() {
			if value := effective[setting.Name]; setting.Document == document.key && value != nil {
				parts[setting.Attribute()] = setting.canonical(value)
			}
		}
		if len(parts) == 0 {
			continue
		}
		data, err := document.write(func(attribute string) Value { return parts[attribute] })
		if err != nil {
			continue
		}
		if found == nil {
			found = map[string]Document{}
		}
		found[document.key] = Document{Name: document.name, Extension: document.extension, Data: data}
	}
	return found
}
