package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Tunnel is what carries traffic from control planes to nodes.
type Tunnel string

// The tunnels.
const (
	NoTunnel     Tunnel = "none"
	SSH          Tunnel = "ssh"
	Konnectivity Tunnel = "konnectivity"
)

// Tunnels lists them.
func Tunnels() []string { return []string{string(NoTunnel), string(SSH), string(Konnectivity)} }

// Expectation is how the cluster is declared to be. What nobody declared is expected to be as kubeadm leaves it.
type Expectation struct {
	Profile settings.Profile
	Tunnel  Tunnel

	values map[string]settings.Value // by the names of settings
}

// Expect checks what is declared: a profile, a tunnel, and the values of settings as NAME=VALUE, elements of lists separated by
// commas.
func Expect(profile, tunnel string, assignments []string) (Expectation, error) {
	if !slices.Contains(settings.Profiles(), profile) {
		return Expectation{}, fmt.Errorf("-profile %s: it must be one of %s", profile, strings.Join(settings.Profiles(), ", "))
	}
	if !slices.Contains(Tunnels(), tunnel) {
		return Expectation{}, fmt.Errorf("-tunnel %s: it must be one of %s", tunnel, strings.Join(Tunnels(), ", "))
	}
	declared := map[string]settings.Value{}
	for _, assignment := range assignments {
		name, text, ok := strings.Cut(assignment, "=")
		if !ok {
			return Expectation{}, fmt.Errorf("-expect %s: it must be NAME=VALUE", assignment)
		}
		known := func(s settings.Setting) bool { return s.Name == name }
		i := slices.IndexFunc(settings.Declarable(), known)
		if i < 0 {
			return Expectation{}, fmt.Errorf("-expect %s: there is no setting %s", assignment, name)
		}
		value := settings.Value{text}
		if settings.Declarable()[i].Form.List() {
			value = strings.Split(text, ",")
		}
		declared[name] = value
	}
	for _, problem := range settings.Check(declared) {
		return Expectation{}, fmt.Errorf("-expect %s: %w", problem.Name, problem.Err)
	}
	return Expectation{
		Profile: settings.Profile(profile), Tunnel: Tunnel(tunnel), values: settings.Effective(settings.Profile(profile), declared),
	}, nil
}

// Value returns what a setting is expected to be, or nil where it is as kubeadm leaves it.
func (e Expectation) Value(name string) settings.Value { return e.values[name] }

// Is reports whether a setting is expected to have a value.
func (e Expectation) Is(name, value string) bool { return e.values[name].String() == value }

// VerifiesKubelets reports whether apiservers are expected to verify kubelets' serving certificates.
func (e Expectation) VerifiesKubelets() bool { return e.Is(settings.NameVerifyKubelets, "true") }

func (e Expectation) String() string {
	return fmt.Sprintf("profile %s, tunnel %s", e.Profile, e.Tunnel)
}
