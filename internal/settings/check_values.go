package settings

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of durations. A token of less than ten minutes is never issued, one of more than 2^32 s can't be
// (Kubernetes v1.37.1, pkg/kubeapiserver/options/authentication.go and cmd/kube-apiserver/app/options).
const (
	minTokenExpiration = time.Hour
	maxTokenExpiration = (1 << 32) * time.Second
	minRequestTimeout  = 5 * time.Second
	maxRequestTimeout  = time.Hour
	minIdleTimeout     = time.Minute
	maxIdleTimeout     = 24 * time.Hour
)

// curvesSince is the first version that lets key exchange mechanisms be chosen.
const curvesSince = 36

// only accepts one value: the others are what kubecomm is there to prevent.
func only(allowed, otherwise string) checkFunc {
	return func(value Value, _ func(string) Value) error {
		if value[0] != allowed {
			return fmt.Errorf("%s is not allowed, because %s; set %s, or leave it out to have what was there before",
				value[0], otherwise, allowed)
		}
		return nil
	}
}

func between(least, most time.Duration) checkFunc {
	return func(value Value, _ func(string) Value) error {
		length, err := time.ParseDuration(value[0])
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration such as %q: %w", value[0], FormatValidity(least), err)
		case length < least || length > most:
			return fmt.Errorf("%s is out of bounds: at least %s and at most %s",
				value[0], FormatValidity(least), FormatValidity(most))
		case length%time.Second != 0:
			return fmt.Errorf("%s is not a whole number of seconds", value[0])
		}
		return nil
	}
}

// checkNames refuses a list with a name twice, or one that isn't known.
func checkNames(what string, value Value, known []string) error {
	for i, name := range value {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q is no %s that Kubernetes knows; those are %s", name, what, strings.Join(known, ", "))
		}
		if slices.Contains(value[:i], name) {
			return fmt.Errorf("%s is there twice", name)
		}
	}
	return nil
}

var errEmptyList = errors.New("the list is empty, and would exclude every client; leave it out to have what was there before")

func checkCurves(value Value, _ func(string) Value) error {
	if len(value) == 0 {
		return errEmptyList
	}
	if err := checkNames("key exchange mechanism", value, curveNamesKnown()); err != nil {
		return err
	}
	classic := []string{"X25519", "CurveP256", "CurveP384", "CurveP521"}
	if !slices.ContainsFunc(value, func(name string) bool { return slices.Contains(classic, name) }) {
		return fmt.Errorf("the list has none that every client knows: add one of %s", strings.Join(classic, ", "))
	}
	return nil
}

func checkModes(value Value, _ func(string) Value) error {
	for _, mode := range value {
		switch mode {
		case "AlwaysAllow":
			return errors.New("AlwaysAllow lets every client do everything")
		case "AlwaysDeny":
			return errors.New("AlwaysDeny lets no client do anything")
		case "Webhook", "ABAC":
			return fmt.Errorf("%s needs a file of its own, for which there is no attribute", mode)
		}
	}
	if err := checkNames("authorization mode", value, []string{"Node", "RBAC"}); err != nil {
		return err
	}
	for _, needed := range neededModes() {
		if !slices.Contains(value, needed.without) {
			return needed
		}
	}
	return nil
}

// neededModes are those that authorization can't do without, as modes or as authorizers of a file.
func neededModes() []consequence {
	return []consequence{{"Node", "no kubelet could work"}, {"RBAC", "nobody but kubelets could do anything"}}
}

// consequence is what becomes of a cluster that lacks something.
type consequence struct{ without, then string }

func (c consequence) Error() string { return "without " + c.without + ", " + c.then }

// admissionPlugins are those of Kubernetes 1.34 to 1.37 (pkg/kubeapiserver/options/plugins.go).
func admissionPlugins() []string {
	return strings.Fields(`
		AlwaysAdmit AlwaysDeny AlwaysPullImages CertificateApproval CertificateSigning CertificateSubjectRestriction
		ClusterTrustBundleAttest DefaultIngressClass DefaultStorageClass DefaultTolerationSeconds DenyServiceExternalIPs
		EventRateLimit ExtendedResourceToleration ImagePolicyWebhook LimitPodHardAntiAffinityTopology LimitRanger
		MutatingAdmissionPolicy MutatingAdmissionWebhook NamespaceAutoProvision NamespaceExists NamespaceLifecycle
		NodeDeclaredFeatureValidator NodeRestriction OwnerReferencesPermissionEnforcement PersistentVolumeClaimResize
		PodGroupProtection PodGroupWorkloadExists PodNodeSelector PodResizeValidator PodSecurity PodTolerationRestriction
		PodTopologyLabels Priority ResourceQuota RuntimeClass ServiceAccount StorageObjectInUseProtection
		TaintNodesByCondition ValidatingAdmissionPolicy ValidatingAdmissionWebhook`)
}

// The plugins that profiles keep on.
var (
	nodeRestriction = consequence{"NodeRestriction", "each kubelet could change other nodes and their pods"}
	serviceAccount  = consequence{"ServiceAccount", "pods would get no credentials"}
)

func checkPlugins(value Value, sibling func(string) Value) error {
	if err := checkNames("admission plugin", value, admissionPlugins()); err != nil {
		return err
	}
	for _, name := range value {
		switch name {
		case "AlwaysAdmit", "AlwaysDeny":
			return fmt.Errorf("%s makes the other plugins pointless", name)
		case "EventRateLimit", "ImagePolicyWebhook":
			return fmt.Errorf("%s needs a file of its own, for which there is no attribute", name)
		}
		if slices.Contains(sibling("disabled_admission_plugins"), name) {
			return fmt.Errorf("%s is among disabled_admission_plugins too", name)
		}
	}
	if !slices.Contains(value, nodeRestriction.without) {
		return nodeRestriction
	}
	return nil
}

func checkDisabledPlugins(value Value, _ func(string) Value) error {
	if err := checkNames("admission plugin", value, admissionPlugins()); err != nil {
		return err
	}
	for _, needed := range []consequence{
		nodeRestriction,
		serviceAccount,
		{"NamespaceLifecycle", "objects could be made in namespaces that end"},
		{"ValidatingAdmissionPolicy", "an apiserver could not be replaced without an outage"},
		{"CertificateApproval", "whoever may change requests for certificates could approve his own"},
		{"CertificateSigning", "whoever may change requests for certificates could sign them"},
	} {
		if slices.Contains(value, needed.without) {
			return needed
		}
	}
	return nil
}

func checkIssuers(value Value, _ func(string) Value) error {
	if len(value) == 0 {
		return errors.New("the list is empty, and tokens need an issuer")
	}
	for i, issuer := range value {
		if slices.Contains(value[:i], issuer) {
			return fmt.Errorf("%s is there twice", issuer)
		}
		parsed, err := url.Parse(issuer)
		if err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "" {
			return fmt.Errorf("%q is not the URL of an issuer, such as https://kubernetes.default.svc.cluster.local", issuer)
		}
	}
	return nil
}
