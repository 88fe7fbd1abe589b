package controlplane

import (
	"bytes"
	"slices"
)

// Rebase returns the manifest with which a component has exactly the wanted values of the managed flags: those that want
// doesn't hold are not given at all. Where nothing but managed flags was changed since the original, the result is the
// original with the wanted values, so that going back to its own gives it back byte for byte. Where somebody changed
// something else since, that stays.
func Rebase(original, current []byte, component string, managed []string, want Flags) ([]byte, error) {
	is, err := ParseManifest(current, component)
	if err != nil {
		return nil, err
	}
	rebuilt, err := give(original, component, managed, is.Flags())
	if err != nil {
		return nil, err
	}
	if bytes.Equal(rebuilt, current) {
		return give(original, component, managed, want)
	}
	return give(current, component, managed, want)
}

// give gives the managed flags of a manifest the wanted values, in the order of their names. A manifest that has them is
// returned as it was written.
func give(manifest []byte, component string, managed []string, want Flags) ([]byte, error) {
	m, err := ParseManifest(manifest, component)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, name := range slices.Sorted(slices.Values(managed)) {
		if slices.Equal(m.Flags()[name], want[name]) {
			continue
		}
		changed = true
		if len(want[name]) == 0 {
			m.RemoveFlag(name)
			continue
		}
		m.SetFlag(name, want[name]...)
	}
	if !changed {
		return manifest, nil
	}
	return m.Bytes()
}
