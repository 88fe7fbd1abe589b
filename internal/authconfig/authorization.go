package authconfig

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

// EncodeAuthorization writes a file with authorizers, a JSON text each. Its errors are of texts that CheckAuthorizers
// refuses.
func EncodeAuthorization(authorizers []string) ([]byte, error) {
	config := apiserver.AuthorizationConfiguration{
		TypeMeta:    metav1.TypeMeta{APIVersion: apiVersion, Kind: authorizationKind},
		Authorizers: make([]apiserver.AuthorizerConfiguration, len(authorizers)),
	}
	for i, text := range authorizers {
		if err := yaml.UnmarshalStrict([]byte(text), &config.Authorizers[i]); err != nil {
			return nil, fmt.Errorf("authorizer %d: %w", i+1, err)
		}
	}
	return yaml.Marshal(config)
}

// ParseAuthorization reads the authorizers of a file, and refuses what an apiserver would: other kinds and unknown fields.
func ParseAuthorization(data []byte) ([]string, error) {
	var config apiserver.AuthorizationConfiguration
	if err := decode(data, authorizationKind, &config, &config.TypeMeta); err != nil {
		return nil, err
	}
	authorizers := make([]string, len(config.Authorizers))
	for i, authorizer := range config.Authorizers {
		authorizers[i] = encode(authorizer)
	}
	return authorizers, nil
}

// CanonicalAuthorizer returns the one spelling of an authorizer. What can't be read stays as it is.
func CanonicalAuthorizer(text string) string {
	var authorizer apiserver.AuthorizerConfiguration
	if yaml.UnmarshalStrict([]byte(text), &authorizer) != nil {
		return text
	}
	return encode(authorizer)
}

// AuthorizerType returns the type of an authorizer; empty if it can't be read.
func AuthorizerType(text string) string {
	var authorizer apiserver.AuthorizerConfiguration
	if yaml.UnmarshalStrict([]byte(text), &authorizer) != nil {
		return ""
	}
	return authorizer.Type
}
