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
	base, err := ParseManifest(original, component)
	if err != nil {
		return nil, err
	}
	is, err := ParseManifest(current, component)
	if err != nil {
		return nil, err
	}
	bytesOfBase := original
	rebuilt, err := base.give(managed, is.Flags(), original)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(rebuilt, current) {
		if base, err = ParseManifest(original, component); err != nil {
			return nil, err
		}
	} else {
		base, bytesOfBase = is, current
	}
	return base.give(managed, want, bytesOfBase)
}

// give gives the managed flags the wanted values, in the order of their names, and returns the manifest: as it was
// written if that changed nothing.
func (m *Manifest) give(managed []string, want Flags, written []byte) ([]byte, error) {
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
		return written, nil
	}
	return m.Bytes()
}
