package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/authconfig"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// neededPaths are those that are asked for without credentials for as long as a cluster lives: by the kubelet's probes of
// apiservers (Kubernetes v1.37.1, cmd/kubeadm/app/phases/controlplane/manifests.go) and by kind's load balancer (kind
// v0.33.0, pkg/cluster/internal/loadbalancer/config.go).
func neededPaths() []string { return []string{"/healthz", "/livez", "/readyz"} }

// joinPath is what a node asks for without credentials that kubeadm joins by a token (Kubernetes v1.37.1,
// cmd/kubeadm/app/discovery/token/token.go).
const joinPath = "/api/v1/namespaces/kube-public/configmaps/cluster-info"

// ShutOutJoins returns the path that nodes can't ask for that are to join by a token, and the name of the setting to blame;
// both empty if there is none.
func ShutOutJoins(effective map[string]Value) (path, setting string) {
	const name = apiserverGroup + "." + attributePaths
	paths := effective[name]
	if len(paths) == 0 || slices.Contains(paths, authconfig.EveryPath) || slices.Contains(paths, joinPath) {
		return "", ""
	}
	return joinPath, name
}

func checkPaths(value Value, _ func(string) Value) error {
	for i, path := range value {
		switch {
		case path == authconfig.EveryPath && len(value) == 1:
			return nil
		case path == authconfig.EveryPath:
			return fmt.Errorf("%q stands for every path, so there can be no other", authconfig.EveryPath)
		case !strings.HasPrefix(path, "/"), strings.ContainsAny(path, "?#* "):
			return fmt.Errorf("%q is not the path of a request, such as \"/livez\"; paths are compared as a whole", path)
		case slices.Contains(value[:i], path):
			return fmt.Errorf("%s is there twice", path)
		}
	}
	for _, needed := range neededPaths() {
		if !slices.Contains(value, needed) {
			return consequence{needed, "the probes by which the kubelet and load balancers look after apiservers would fail"}
		}
	}
	return nil
}

func checkJWT(value Value, sibling func(string) Value) error {
	return authconfig.CheckJWT(value, sibling("service_account_issuers"))
}

func checkAuthorizers(value Value, _ func(string) Value) error {
	if err := authconfig.CheckAuthorizers(value); err != nil {
		return err
	}
	for _, needed := range neededModes() {
		hasType := func(text string) bool { return authconfig.AuthorizerType(text) == needed.without }
		if !slices.ContainsFunc(value, hasType) {
			return consequence{fmt.Sprintf("type = %q", needed.without), needed.then}
		}
	}
	return nil
}

// checkBundle refuses what is no bundle of CA certificates. Of one that is empty, it says what that means.
func checkBundle(empty string) checkFunc {
	return func(value Value, _ func(string) Value) error {
		if strings.TrimSpace(value.String()) == "" {
			return errors.New(empty)
		}
		certificates, err := pki.ParseBundle([]byte(value.String()))
		if err != nil {
			return err
		}
		for i, certificate := range certificates {
			if err := pki.CheckCA(certificate); err != nil {
				return fmt.Errorf("certificate %d, of %s, %w", i+1, certificate.Subject, err)
			}
			if slices.ContainsFunc(certificates[:i], certificate.Equal) {
				return fmt.Errorf("the certificate of %s is there twice", certificate.Subject)
			}
		}
		return nil
	}
}
