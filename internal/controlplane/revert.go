package controlplane

import "bytes"

// Revert returns the manifest that a component should go back to when kubecomm lets go of a flag. Where the current
// manifest is the original one with the flag changed and nothing else, that is the original, byte for byte. Where
// somebody changed it since, their changes stay, and the flag alone gets back its original value or is removed.
func Revert(original, current []byte, component, flag string) ([]byte, error) {
	was, err := ParseManifest(original, component)
	if err != nil {
		return nil, err
	}
	is, err := ParseManifest(current, component)
	if err != nil {
		return nil, err
	}
	before, had := was.Flags().Get(flag)
	if now, has := is.Flags().Get(flag); has {
		was.SetFlag(flag, now)
		ours, err := was.Bytes()
		if err != nil {
			return nil, err
		}
		if bytes.Equal(ours, current) {
			return original, nil
		}
	}
	if had {
		is.SetFlag(flag, before)
	} else if is.RemoveFlag(flag) < 0 {
		return current, nil
	}
	return is.Bytes()
}
