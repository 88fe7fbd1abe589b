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

// Document is a file that declared settings become.
type Document struct {
	Name, Extension string // of the file, without what tells one content from another
	Data            []byte
}

// document is how settings become a file, and are read from it.
type document struct {
	flag            string
	name, extension string
	without         []string // flags that apiservers don't take beside this one
	write           func(part func(attribute string) Value) ([]byte, error)
	read            func(data []byte) (map[string]Value, error) // by attributes
}

func documents() []document {
	return []document{
		{
			flag: authenticationFlag, name: "authentication", extension: "yaml", without: []string{"anonymous-auth"},
			write: func(part func(string) Value) ([]byte, error) {
				return authconfig.Authentication{AnonymousPaths: part(attributePaths), JWT: part(attributeJWT)}.Encode()
			},
			read: func(data []byte) (map[string]Value, error) {
				found, err := authconfig.ParseAuthentication(data)
				return map[string]Value{attributePaths: found.AnonymousPaths, attributeJWT: found.JWT}, err
			},
		},
		{
			flag: authorizationFlag, name: "authorization", extension: "yaml", without: []string{"authorization-mode"},
			write: func(part func(string) Value) ([]byte, error) {
				return authconfig.EncodeAuthorization(part(attributeAuthorizers))
			},
			read: func(data []byte) (map[string]Value, error) {
				found, err := authconfig.ParseAuthorization(data)
				return map[string]Value{attributeAuthorizers: found}, err
			},
		},
		{
			flag: clientCAFlag, name: "client-ca", extension: "crt",
			write: func(part func(string) Value) ([]byte, error) { return []byte(part(attributeClientCA).String()), nil },
			read: func(data []byte) (map[string]Value, error) {
				return map[string]Value{attributeClientCA: {string(data)}}, nil
			},
		},
	}
}

// DocumentFlags lists the flags of apiservers that name files which settings become.
func DocumentFlags() []string {
	var flags []string
	for _, document := range documents() {
		flags = append(flags, document.flag)
	}
	return flags
}

// DocumentNames lists what the names of such files begin with.
func DocumentNames() []string {
	var names []string
	for _, document := range documents() {
		names = append(names, document.name)
	}
	return names
}

// FromDocument reads the setting from the file of which it is a part; nil if the file doesn't have it. Of a file that
// can't be read, which only somebody else can have written, it returns nil as well.
func (s Setting) FromDocument(data []byte) Value {
	all := documents()
	i := slices.IndexFunc(all, func(d document) bool { return d.flag == s.Document })
	parts, err := all[i].read(data)
	if err != nil || len(data) == 0 || parts[s.Attribute()] == nil {
		return nil
	}
	return s.canonical(parts[s.Attribute()])
}

// declareDocuments makes the files of which any part is declared. The flags that can't be beside them are declared to be
// absent. The parts were checked, and so can be written.
func (s *Settings) declareDocuments(effective map[string]Value) {
	for _, document := range documents() {
		parts := map[string]Value{}
		for _, setting := range Table() {
			if value := effective[setting.Name]; setting.Document == document.flag && value != nil {
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
		if s.Documents == nil {
			s.Documents = map[string]Document{}
		}
		s.Documents[document.flag] = Document{Name: document.name, Extension: document.extension, Data: data}
		for _, flag := range document.without {
			s.SetFlag(APIServer, flag)
		}
	}
}
