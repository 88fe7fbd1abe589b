// Package authconfig writes, reads and judges the files that tell an apiserver how to authenticate and to authorize its
// clients: AuthenticationConfiguration and AuthorizationConfiguration of apiserver.config.k8s.io/v1. It is pure. Parts of
// the files are handled as JSON texts in the one spelling that Canonical functions give them, so that texts compare.
package authconfig

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

const (
	apiVersion         = "apiserver.config.k8s.io/v1"
	authenticationKind = "AuthenticationConfiguration"
	authorizationKind  = "AuthorizationConfiguration"
)

// EveryPath stands for all paths among those that are open to clients without credentials.
const EveryPath = "*"

// Authentication is what an AuthenticationConfiguration says.
type Authentication struct {
	// AnonymousPaths are those that clients without credentials may ask for; nil if the file leaves that to the flag.
	AnonymousPaths []string
	// JWT are the issuers of tokens, a JSON text each; nil if the file has none.
	JWT []string
}

// Encode writes the file. Its errors are of JWT texts that CheckJWT refuses.
func (a Authentication) Encode() ([]byte, error) {
	config := apiserver.AuthenticationConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: authenticationKind},
		JWT:      make([]apiserver.JWTAuthenticator, len(a.JWT)),
	}
	for i, text := range a.JWT {
		if err := yaml.UnmarshalStrict([]byte(text), &config.JWT[i]); err != nil {
			return nil, fmt.Errorf("issuer %d: %w", i+1, err)
		}
	}
	if a.AnonymousPaths != nil {
		config.Anonymous = &apiserver.AnonymousAuthConfig{Enabled: len(a.AnonymousPaths) > 0}
		for _, path := range a.AnonymousPaths {
			if path != EveryPath {
				config.Anonymous.Conditions = append(config.Anonymous.Conditions, apiserver.AnonymousAuthCondition{Path: path})
			}
		}
	}
	return yaml.Marshal(config)
}

// ParseAuthentication reads the file, and refuses what an apiserver would: other kinds and unknown fields.
func ParseAuthentication(data []byte) (Authentication, error) {
	var config apiserver.AuthenticationConfiguration
	if err := decode(data, authenticationKind, &config, &config.TypeMeta); err != nil {
		return Authentication{}, err
	}
	var a Authentication
	if anonymous := config.Anonymous; anonymous != nil {
		a.AnonymousPaths = []string{}
		for _, condition := range anonymous.Conditions {
			a.AnonymousPaths = append(a.AnonymousPaths, condition.Path)
		}
		if anonymous.Enabled && len(anonymous.Conditions) == 0 {
			a.AnonymousPaths = []string{EveryPath}
		}
	}
	for _, authenticator := range config.JWT {
		a.JWT = append(a.JWT, encode(authenticator))
	}
	return a, nil
}

// CanonicalJWT returns the one spelling of an issuer. What can't be read stays as it is.
func CanonicalJWT(text string) string {
	var authenticator apiserver.JWTAuthenticator
	if yaml.UnmarshalStrict([]byte(text), &authenticator) != nil {
		return text
	}
	return encode(authenticator)
}

func decode(data []byte, kind string, into any, meta *metav1.TypeMeta) error {
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		return err
	}
	if meta.APIVersion != apiVersion || meta.Kind != kind {
		return fmt.Errorf("it is a %s of %s, not a %s of %s", meta.Kind, meta.APIVersion, kind, apiVersion)
	}
	return nil
}

// encode writes a part of a configuration, which always can be written.
func encode(part any) string {
	text, err := json.Marshal(part)
	if err != nil {
		panic(err)
	}
	return string(text)
}
