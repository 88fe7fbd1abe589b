package authconfig

import (
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
)

// CheckJWT judges issuers as an apiserver of Kubernetes 1.37 does when it starts, the expressions in them included.
// serviceAccountIssuers are those of service account tokens, which can't be among them.
func CheckJWT(issuers, serviceAccountIssuers []string) error {
	data, err := Authentication{JWT: issuers}.Encode()
	if err != nil {
		return err
	}
	var external apiserverv1.AuthenticationConfiguration
	if err := decode(data, authenticationKind, &external, &external.TypeMeta); err != nil {
		return err
	}
	var config apiserver.AuthenticationConfiguration
	if err := convert(&external, &config); err != nil {
		return err
	}
	compiler := authenticationcel.NewDefaultCompiler()
	return first(validation.ValidateAuthenticationConfiguration(compiler, &config, serviceAccountIssuers))
}

// CheckAuthorizers judges authorizers in the same way. That a webhook's file is there is seen on a node only.
func CheckAuthorizers(authorizers []string) error {
	data, err := EncodeAuthorization(authorizers)
	if err != nil {
		return err
	}
	var external apiserverv1.AuthorizationConfiguration
	if err := decode(data, authorizationKind, &external, &external.TypeMeta); err != nil {
		return err
	}
	for _, authorizer := range external.Authorizers {
		if authorizer.Webhook == nil {
			continue
		}
		// The file is looked for on the machine where this runs.
		info := &authorizer.Webhook.ConnectionInfo
		if info.Type == apiserverv1.AuthorizationWebhookConnectionInfoTypeInCluster {
			return fmt.Errorf("%s is not for apiservers, which would ask themselves; give %s",
				info.Type, apiserverv1.AuthorizationWebhookConnectionInfoTypeKubeConfigFile)
		}
		if file := info.KubeConfigFile; info.Type == apiserverv1.AuthorizationWebhookConnectionInfoTypeKubeConfigFile && file != nil {
			if !path.IsAbs(*file) {
				return fmt.Errorf("%q is not the absolute path of a kubeconfig on control-plane nodes", *file)
			}
			*info = apiserverv1.WebhookConnectionInfo{Type: apiserverv1.AuthorizationWebhookConnectionInfoTypeInCluster}
		}
	}
	var config apiserver.AuthorizationConfiguration
	if err := convert(&external, &config); err != nil {
		return err
	}
	return first(validation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, &config,
		sets.New("Node", "RBAC", "Webhook"), sets.New("Webhook")))
}

// convert fills in defaults.
func convert(external, internal runtime.Object) error {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	utilruntime.Must(apiserver.AddToScheme(scheme))
	scheme.Default(external)
	return scheme.Convert(external, internal, nil)
}

func first(problems field.ErrorList) error {
	if len(problems) == 0 {
		return nil
	}
	return problems.ToAggregate()
}
