package settings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Problem is what is wrong with a declared value.
type Problem struct {
	Name string // the setting's
	Err  error
}

// Check refuses what can't work, or would have no effect. It is given the declared values by the names of their
// settings, as far as they are known.
func Check(declared map[string]Value) []Problem {
	var problems []Problem
	for _, setting := range Declarable() {
		value := declared[setting.Name]
		if value == nil || setting.demands(value) {
			continue
		}
		sibling := func(name string) Value { return declared[setting.Group()+"."+name] }
		if setting.excludes != "" && sibling(setting.excludes) != nil {
			problems = append(problems, Problem{setting.Name,
				fmt.Errorf("it can't be there together with %s; leave out one of the two", setting.excludes)})
			continue
		}
		if setting.check == nil {
			continue
		}
		if err := setting.check(value, sibling); err != nil {
			problems = append(problems, Problem{setting.Name, err})
		}
	}
	return problems
}

// CheckTime refuses certificates that aren't valid at a time.
func CheckTime(declared map[string]Value, now time.Time) []Problem {
	var problems []Problem
	for _, setting := range Declarable() {
		value := declared[setting.Name]
		if setting.Form != Certificates || value == nil {
			continue
		}
		certificates, err := pki.ParseBundle([]byte(value.String()))
		if err != nil {
			continue // see checkBundle
		}
		for i, certificate := range certificates {
			if err := pki.CheckTime(certificate, now); err != nil {
				problems = append(problems, Problem{setting.Name, fmt.Errorf("certificate %d: %w", i+1, err)})
			}
		}
	}
	return problems
}

// OldestMinor is the oldest minor version of Kubernetes 1 that kubecomm knows: the first with version v1 of
// AuthenticationConfiguration, and the oldest that it is tested with.
const OldestMinor = 34

// NewestMinor is the newest that it knows.
const NewestMinor = 37

// CheckCluster refuses clusters of a minor version of Kubernetes 1 that isn't known to take what settings become.
func CheckCluster(minor uint) error {
	if minor < OldestMinor {
		return fmt.Errorf("it runs Kubernetes 1.%d, and 1.%d is the oldest that kubecomm knows", minor, OldestMinor)
	}
	return nil
}

// VersionMatters reports whether not every version of Kubernetes has all that is declared.
func VersionMatters(declared map[string]Value) bool { return len(CheckVersion(declared, 0)) > 0 }

// CheckVersion refuses what a cluster of that minor version of Kubernetes 1 doesn't have.
func CheckVersion(declared map[string]Value, minor uint) []Problem {
	var problems []Problem
	for _, setting := range Managed() {
		if declared[setting.Name] != nil && minor < setting.Since {
			problems = append(problems, Problem{setting.Name, fmt.Errorf(
				"the cluster runs Kubernetes 1.%d, and 1.%d is the first that has it; leave it out", minor, setting.Since)})
		}
	}
	return problems
}

// checkFunc judges a value, given those of other settings of the same group by the last part of their names.
type checkFunc func(value Value, sibling func(name string) Value) error

const (
	tls12 = "VersionTLS12"
	tls13 = "VersionTLS13"
)

func oneOf(choices ...string) checkFunc {
	return func(value Value, _ func(string) Value) error {
		if !slices.Contains(choices, value[0]) {
			return fmt.Errorf("%q is none of %s", value[0], strings.Join(choices, ", "))
		}
		return nil
	}
}

// http2Suites are those of which Go's HTTP/2 server insists on one, where it also serves TLS 1.2: apiservers and kubelets
// end at once without (Go 1.26, net/http/h2_bundle.go, http2ConfigureServer).
func http2Suites() []string {
	return []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}
}

func checkCipherSuites(value Value, sibling func(string) Value) error {
	if len(value) == 0 {
		return errEmptyList
	}
	if err := checkNames("cipher suite", value, cipherSuites()); err != nil {
		return err
	}
	if slices.Equal(sibling("tls_min_version"), Value{tls13}) {
		return errors.New("with tls_min_version = \"" + tls13 + "\" the list would be ignored: cipher suites of TLS 1.3 can't " +
			"be chosen; leave out one of the two")
	}
	if !slices.ContainsFunc(http2Suites(), func(name string) bool { return slices.Contains(value, name) }) {
		return fmt.Errorf("the list lacks what HTTP/2 demands, without which the server would not start: add %s, for nodes' "+
			"certificates with RSA keys, or %s", http2Suites()[0], http2Suites()[1])
	}
	return nil
}

// cipherSuites lists the names that Kubernetes takes: Go's, also of insecure ones, and two of old (Kubernetes v1.37.1,
// staging/src/k8s.io/component-base/cli/flag/ciphersuites_flag.go).
func cipherSuites() []string {
	names := []string{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"}
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		names = append(names, suite.Name)
	}
	slices.Sort(names)
	return names
}
