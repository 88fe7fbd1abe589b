package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Profile names values of many settings.
type Profile string

// The profiles.
const (
	// Kubeadm leaves everything as it was.
	Kubeadm Profile = "kubeadm"
	// Baseline closes what nobody should rely on to be open.
	Baseline Profile = "baseline"
	// Restricted also demands what some clients may not be able to do.
	Restricted Profile = "restricted"
)

// DefaultProfile is what a declaration without one has.
const DefaultProfile = Baseline

// Profiles lists the names of the profiles.
func Profiles() []string { return []string{string(Kubeadm), string(Baseline), string(Restricted)} }

// Says returns what a profile says of a setting; nil if nothing.
func (p Profile) Says(setting Setting) Value {
	switch {
	case p == Kubeadm:
		return nil
	case p == Restricted && setting.Restricted != nil:
		return setting.Restricted
	}
	return setting.Baseline
}

// Effective returns what a declaration stands for, by the names of settings: what it declares itself, and of the rest
// what its profile says. A declared value that is nil is one that isn't known yet, in whose place nothing is assumed.
func Effective(profile Profile, declared map[string]Value) map[string]Value {
	effective := map[string]Value{}
	for _, setting := range Declarable() {
		value, given := declared[setting.Name]
		if !given && !replaced(setting, declared) {
			value = profile.Says(setting)
		}
		if value != nil {
			effective[setting.Name] = value
		}
	}
	// Kubelets' own certificates are of a CA that nobody else has.
	if effective[NameVerifyKubelets].String() == "true" && effective[NameServingSource] == nil {
		effective[NameServingSource] = Value{string(DedicatedCA)}
	}
	return effective
}

// replaced reports whether a setting is declared that is in place of this one.
func replaced(setting Setting, declared map[string]Value) bool {
	return slices.ContainsFunc(Declarable(), func(other Setting) bool {
		_, given := declared[other.Name]
		return given && other.excludes != "" && other.Group()+"."+other.excludes == setting.Name
	})
}

// Of turns effective values into what is to be applied.
func Of(effective map[string]Value) Settings {
	found := Settings{ServingValidity: Defaults().ServingValidity, KubeletRestarts: Defaults().KubeletRestarts}
	for _, setting := range Declarable() {
		if value := effective[setting.Name]; value != nil {
			found.Declare(setting, value)
		}
	}
	found.declareDocuments(effective)
	if found.Tunnel.Mode == Konnectivity {
		found.Tunnel.Konnectivity.TLSMinVersion = effective[apiserverGroup+".tls_min_version"].String()
	}
	return found
}

// inProfiles says what the profiles say of a setting; empty if nothing.
func (s Setting) inProfiles() string {
	var parts []string
	for _, profile := range []Profile{Baseline, Restricted} {
		value := profile.Says(s)
		switch {
		case value == nil:
		case s.demands(value):
			parts = append(parts, fmt.Sprintf("%s in profile `%s`", value.demand(), profile))
		default:
			parts = append(parts, fmt.Sprintf("`%s` in profile `%s`", value, profile))
		}
	}
	return strings.Join(parts, ", ")
}
